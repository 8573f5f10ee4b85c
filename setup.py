"""What pyproject.toml cannot say: scripts as parts of the package, and the commit of a build."""

import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from repro.machine.commit import commit, stamp  # noqa: E402

# A top-level package called `tables` would shadow PyTables.
SCRIPTS = {"repro.tables": "tables", "repro.figures": "figures"}


class StampedBuild(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            stamp(Path(self.build_lib) / "repro", commit(HERE))


class StampedSource(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        stamp(Path(base_dir) / "repro", commit(HERE))


setup(
    packages=[*find_packages(include=["repro*"]), *SCRIPTS],
    package_dir=SCRIPTS,
    cmdclass={"build_py": StampedBuild, "sdist": StampedSource},
)
