"""What an engine needs of the machine beside torch, and what is missing where it fails.

Imports no torch, so that listing stays quick.
"""

import errno
import functools
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from typing import NamedTuple


class Fault(NamedTuple):
    """What is missing, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


NO_COMPILER = Fault("no C++ compiler found", "install g++")
SECONDS = 60.0  # a compiler that has not answered by then does not work
HEADERS = {  # what every compiled step includes
    "Python.h": Fault(
        "the C++ compiler finds no Python.h, Python's headers",
        "install python3-dev (Fedora: python3-devel)",
    ),
    "cmath": Fault("the C++ compiler finds no standard library", "install g++"),
}


def compiler_fault() -> Fault | None:
    """What keeps the compiler that torch takes from compiling a step; None: nothing known.

    The compiler is started once a process, to see which headers it finds.
    """
    default = "clang++" if sys.platform == "darwin" else "g++"
    return _fault_of_compiler(os.environ.get("CXX", default))


@functools.cache
def _fault_of_compiler(compiler: str) -> Fault | None:
    include = f"-I{sysconfig.get_path('include')}"
    remedy = f"name another in CXX, now {compiler!r}" if "CXX" in os.environ else "install g++"
    asked = "".join(f"#if !__has_include(<{h}>)\n#error no {h}\n#endif\n" for h in HEADERS)
    try:
        done = subprocess.run(
            [compiler, "-E", "-x", "c++", include, "-"],
            input=asked, capture_output=True, text=True, errors="replace", timeout=SECONDS,
        )  # fmt: skip
    except FileNotFoundError:
        return Fault(NO_COMPILER.what, remedy)
    except (OSError, ValueError, subprocess.SubprocessError) as e:
        return Fault(f"the C++ compiler {compiler} does not run ({type(e).__name__})", remedy)
    if not done.returncode:
        return None
    missing = (fault for h, fault in HEADERS.items() if f"#error no {h}" in done.stderr)
    reason = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
    return next(missing, Fault(f"the C++ compiler {compiler} does not run ({reason})", remedy))


SIGNS = (  # in the text of an error, most telling first
    (r"\bPython\.h\b", HEADERS["Python.h"]),
    (r"No working C\+\+ compiler found", NO_COMPILER),
    (r"Failed to find C compiler", Fault("no C compiler found", "install gcc")),
    (r"(?i)triton installation|No module named 'triton|too old to be supported by the triton",
     Fault("no Triton that suits this torch and device", "install torch again, with its triton")),
    (r"libcuda\.so\S*.{0,20}(?:not|cannot)|(?:not|cannot) find.{0,20}-?l(?:ib)?cuda\b",
     Fault("the linker finds no libcuda.so", "install the driver's libraries")),
)  # fmt: skip
HEADER = re.compile(r"fatal error: '?([^\s:']+)'?(?::| file not found)")
LIBRARY = re.compile(r"cannot find (-l\S+|\S+\.o)\b")
NO_PLACE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
)


def fault_of(e: BaseException) -> Fault:
    """What an engine that could not be made was missing, read off its error."""
    chain = list(chain_of(e))
    text = "\n".join(str(x) for x in chain)
    for sign, fault in SIGNS:
        if re.search(sign, text):
            return fault
    if found := HEADER.search(text):
        return Fault(f"the C++ compiler finds no {found[1]}", "install the package that holds it")
    if found := LIBRARY.search(text):
        return Fault(f"the linker finds no {found[1]}", "install g++ with its libraries")
    for x in chain:
        if isinstance(x, OSError) and x.errno in NO_PLACE:
            what = f"{x.filename or 'compiled code'}: cannot write ({x.strerror})"
            return Fault(what, "free some space, or set TORCHINDUCTOR_CACHE_DIR to another folder")
    lines = str(chain[0]).strip().splitlines() or [""]
    return Fault(f"{type(chain[0]).__name__}: {lines[0]}", "see whether torch works here")


def chain_of(e: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while e is not None:
        yield e
        e = e.__cause__ or e.__context__
