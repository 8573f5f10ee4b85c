"""The machines of a Ray cluster: connecting to them, sharing them out, tasks and their results."""

import contextlib
import logging
import os
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from repro.errors import MachineError
from repro.machine.provenance import software
from repro.machine.watch.progress import named, notice
from repro.plan.run import Run
from repro.store.files import write_file
from repro.store.places import ROOT

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",  # lines of progress look alike
    "RAY_COLOR_PREFIX": "0",
    "RAY_worker_niceness": "0",  # of what starts here; by default 15, behind all other work
}
for _name, _value in SETTINGS.items():  # read when Ray is imported
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray.exceptions import LocalRayletDiedError, RayError, RayTaskError, TaskCancelledError  # noqa: E402

T = TypeVar("T")
LOCAL = "local"
OBJECT_BYTES = 100 * 2**20  # nothing large is ever passed
CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.5
RETRIES = 3  # of a task whose worker died


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """The block has the cluster at `address`, else $RAY_ADDRESS, else one that starts here.

    One that starts here ends with the block and leaves no file. Raises MachineError.
    """
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    _refuse_unreachable(address)
    paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    with contextlib.ExitStack() as own:
        if threading.current_thread() is threading.main_thread():  # Ray replaces the handler
            own.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        try:
            options = _started_here(own) if address == LOCAL else {}
            own.callback(ray.shutdown)
            ray.init(address, logging_level=logging.ERROR, runtime_env=environment, **options)
        except (OSError, RuntimeError, ValueError) as e:
            raise _no_cluster(address, e) from e
        yield


def _started_here(own: contextlib.ExitStack) -> dict[str, Any]:
    """How Ray starts on this machine, in a folder that goes with `own`.

    The path of a socket there may have 107 bytes, which would be too few below some $TMPDIR.
    """
    place = os.environ.get("RAY_TMPDIR", "/tmp")
    folder = tempfile.TemporaryDirectory(prefix="ray", dir=place, ignore_cleanup_errors=True)
    return {
        "include_dashboard": False,
        "object_store_memory": OBJECT_BYTES,
        "_temp_dir": own.enter_context(folder),
    }


def _refuse_unreachable(address: str) -> None:
    """Raises MachineError where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not (port.isascii() and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as e:  # a port above 65535 overflows
        raise _no_cluster(address, e) from e


def _no_cluster(address: str, e: Exception) -> MachineError:
    why = str(e).splitlines()[0] if str(e) else type(e).__name__
    if address == LOCAL:
        return MachineError(f"Ray cannot start here: {why}: leave out --engine ray")
    return MachineError(
        f"Ray at {address}: {why}: start it with `ray start --head`, or leave out --address and"
        " RAY_ADDRESS to train on this machine"
    )


@dataclass(frozen=True)
class Share:
    """What one task gets of the cluster."""

    nodes: int
    gpus: int
    threads: int

    def __str__(self) -> str:
        each = "one GPU" if self.gpus else f"CPU threads: {self.threads}"
        return f"Ray, nodes: {self.nodes}, each stack with {each}"


def share(stacks: int, threads: int | None) -> Share:
    """A GPU a stack where there are GPUs; elsewhere the CPUs, so that all stacks train at once.

    Raises MachineError where no node has as much as is asked for.
    """
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    gpus = any(node.get("GPU", 0) >= 1 for node in alive)
    cpus = [int(node.get("CPU", 0)) for node in alive if node.get("GPU", 0) >= gpus]
    most = max(cpus, default=0)
    fitting = (t for t in range(most, 0, -1) if sum(c // t for c in cpus) >= stacks)
    chosen = threads or (1 if gpus else next(fitting, 1))
    if chosen > most:
        raise MachineError(
            f"--threads {chosen}: the largest node of the Ray cluster has {most} CPUs for tasks:"
            " ask for fewer, or start it with more (`ray start --num-cpus`)"
        )
    return Share(len(alive), int(gpus), chosen)


@contextlib.contextmanager
def token(folder: Path) -> Iterator[Path]:
    """A file in the store, below a profile's folder, that a worker sees if it sees the store."""
    path = folder / ".locks" / f"driver-{uuid.uuid4().hex}"
    write_file(path, b"")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def refuse_stranger(token: Path, expected: dict[str, Any]) -> None:
    """Raises MachineError where this worker does not see the store or computes otherwise.

    token: a file that the driver wrote there; expected: commit and versions of the driver.
    """
    host, here = socket.gethostname(), software()
    if not token.exists():
        raise MachineError(
            f"{token.parent.parent}: the Ray worker on {host} does not see this store: keep the"
            " checkout in a folder that all nodes share"
        )
    other = [f"{n} {here[n]} instead of {v}" for n, v in expected.items() if here[n] != v]
    if other:
        raise MachineError(
            f"the Ray worker on {host} has {'; '.join(other)}: use the same commit and the same"
            " versions on every node"
        )


@dataclass(frozen=True)
class Lost:
    """In place of a result: why there is none."""

    reason: str


def send(function: Callable[..., Any], job: Any, runs: Sequence[Run], *, share: Share) -> Any:
    """Have a worker call a function of a job and Runs; Ray retries it where the worker dies."""
    name = f"{function.__name__} {named(runs)}"
    options = {"name": name, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
    resources = {"num_cpus": share.threads, "num_gpus": share.gpus}
    return ray.remote(function).options(**options, **resources).remote(job, tuple(runs))


def results(tasks: dict[Any, T], stop: Callable[[], bool]) -> Generator[tuple[T, Any], None, None]:
    """What each task is for and what it returned, as they end; Lost where its worker was.

    `stop` and an error of one task stop all of them, as a Ctrl-C would each. When all have ended
    the error is raised, or KeyboardInterrupt. Who closes this sooner, or cannot be told of a stop,
    stops them as well: none is torn down before it has saved what it has.
    """
    tasks, error, stopping = dict(tasks), None, False
    try:
        while tasks:
            ready, _ = ray.wait(list(tasks), timeout=POLL_SECONDS)
            ended = [(tasks.pop(task), _result(task)) for task in ready]
            error = error or next((r for _, r in ended if isinstance(r, Exception)), None)
            if not stopping and (stop() or error is not None):
                stopping = True
                _cancel(tasks)
                if tasks:
                    notice("what runs saves what it has and stops; with one more Ctrl-C, at once")
            for what, result in ended:
                if not isinstance(result, (Exception, Lost) if stopping else Exception):
                    yield what, result
    except (GeneratorExit, OSError, SystemExit):
        _cancel(tasks)
        if tasks:
            ray.wait(list(tasks), num_returns=len(tasks))
        raise
    if error is not None:
        raise error
    if stopping:
        raise KeyboardInterrupt


def _cancel(tasks: Iterable[Any]) -> None:
    for task in tasks:
        ray.cancel(task, force=False)


def _result(task: Any) -> Any:
    """What a task returned, the exception that it raised, or Lost."""
    try:
        return ray.get(task)
    except TaskCancelledError:
        return Lost("its Ray worker was told to stop: the same command continues it")
    except RayTaskError as e:
        return e.cause
    except LocalRayletDiedError:
        return MachineError("Ray has died on this machine: the same command continues")
    except RayError as e:
        attempts = f"in each of {RETRIES + 1} attempts"
        return Lost(f"its Ray worker died {attempts} ({type(e).__name__}): see `ray status`")
