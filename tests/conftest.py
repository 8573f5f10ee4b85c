"""What several test files share."""

import functools
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fixture_store
import pytest

from repro import store as stores
from repro.plan.run import Run
from repro.store import Store
from repro.store.places import ROOT

DAMAGED = ("read", "refused")  # what tests/fixture_fuzz.py counts


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real data sets; a test that needs it fails without it."""
    named = os.environ.get("REPRO_DATA")
    places = [Path(named)] if named else [ROOT / "data", ROOT.parent / "shared" / "data"]
    for place in places:
        if (place / "mnist").is_dir():
            return place
    return pytest.fail(
        f"no data set in {', '.join(map(str, places))}: run `repro data fetch`,"
        " or set REPRO_DATA to a folder that holds mnist/"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that none is left to one process at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def exact_products() -> None:
    """A training on CUDA decides for its whole process how products are rounded."""
    if torch := sys.modules.get("torch"):
        torch.set_float32_matmul_precision("highest")


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment says where data are; local servers are asked without a proxy."""
    for name in ("REPRO_DATA", "REPRO_MIRRORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """`runs/` and `results/` in a temporary folder; the first is returned, both are empty."""
    for name in stores.NAMED:
        monkeypatch.setitem(stores.NAMED, name, tmp_path / name)
    return Store(tmp_path / "runs")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, and tiny images wherever a data set is loaded."""
    # What loads torch is loaded with the images: most tests do without.
    monkeypatch.setattr("repro.data.load", lambda *_: importlib.import_module("small").raw())
    return Store(tmp_path / "runs")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The records of `small_training.RUNS` from one uninterrupted training."""
    from small_training import RUNS, trained

    return trained(tmp_path_factory.mktemp("whole"), RUNS)


@pytest.fixture
def done(store: Store, whole: Store) -> Store:
    """A store of a test's own with what `whole` holds, weights too."""
    shutil.copytree(whole.root, store.root)
    return store


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Run], Path]:
    """A folder of records with a tiny Run in profile smoke and its weights, trained once."""

    @functools.cache
    def folder(run: Run) -> Path:
        from small_training import trained

        place, images = tmp_path_factory.mktemp("trained"), _tiny_images(run)
        return trained(place, [run], profile="smoke", images=images).root

    return folder


def _tiny_images(run: Run) -> Callable[..., Any]:
    import ladder_small
    import small

    return ladder_small.raw if run.labels else small.raw


@pytest.fixture
def trained(
    request: pytest.FixtureRequest,
    local: Store,
    trainings: Callable[[Run], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """A tiny Run of `runs/`, profile smoke, with its weights: an LVAE, or what a test names."""
    import small

    chosen: Run = getattr(request, "param", small.run("lvae", 3))
    monkeypatch.setattr("repro.data.load", _tiny_images(chosen))
    shutil.copytree(trainings(chosen), local.root)
    return chosen


@pytest.fixture
def full(local: Store) -> Store:
    """`runs/` with a record of every Run of profile quick."""
    return fixture_store.build(local.root, "quick")


@pytest.fixture(autouse=True)
def damage_is_counted(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """How many damaged files a test read and saw refused, for the summary."""
    fuzzing = sys.modules.get("fixture_fuzz")
    before = dict(fuzzing.COUNT) if fuzzing else {}
    yield
    if fuzzing and before != fuzzing.COUNT:
        record_property("damaged", [fuzzing.COUNT[n] - before.get(n, 0) for n in DAMAGED])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests counted, of which passing alone says little."""
    ended = [r for r in terminalreporter.getreports("") if r.when == "teardown"]
    told = [p for r in ended for p in r.user_properties]
    shown = [str(v) for name, v in told if name == "shows"]
    if damaged := [v for name, v in told if name == "damaged"]:
        read, refused = map(sum, zip(*damaged, strict=True))
        shown.append(f"{read:,} damaged files read, {refused:,} of them refused")
    for line in dict.fromkeys(shown):
        terminalreporter.write_line(line)
