"""Training on a Ray cluster: the records of a local training, whatever happens to the workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small
import small_training
from fixture_data import refused

from repro.config import Run
from repro.engine import checkpoint, local
from repro.engine.locks import lock
from repro.engine.outcome import Outcome
from repro.errors import MachineError
from repro.stack import Stack
from repro.store import Store

cluster = pytest.importorskip("repro.engine.cluster", reason="needs Ray: requirements-extras.txt")
import ray_tasks  # noqa: E402 - it needs Ray too

from repro.engine import nodes  # noqa: E402

PROFILE = small_training.PROFILE
OPTIONS = local.Options(engine="eager", threads=1, checkpoint_seconds=0.0)
WIDE, SINGLE = small_training.RUNS, [small.run("vae", 3, scored=(1, 2), batch_norm=False)]
RUNS: list[Run] = [*WIDE, *SINGLE]
STEPS = small_training.EPOCHS * small.BLOCKS * small.BLOCK  # of one stack
IDS = [run.id for run in RUNS]


def use_tiny_images(patch: pytest.MonkeyPatch) -> None:
    """On workers too, which import what lies beside this file."""
    patch.setattr("repro.data.load", small.raw)
    patch.setattr(cluster, "plan", ray_tasks.plan)
    patch.setattr(cluster, "attempt", ray_tasks.attempt)
    patch.setenv("PYTHONPATH", str(Path(__file__).parent))
    patch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture(autouse=True)
def tiny_images(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tiny_images(monkeypatch)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What the local engine records."""
    store = Store(tmp_path_factory.mktemp("alone"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.data.load", small.raw)
        local.train(RUNS, store, PROFILE, OPTIONS)
    return store


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    two = Cluster()
    for _ in range(2):
        two.add_node(num_cpus=1, object_store_memory=nodes.OBJECT_BYTES)
    yield two.address
    two.shutdown()


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    (tmp_path / "runs").mkdir()
    return Store(tmp_path / "runs")


def arrange(store: Store, runs: list[Run], what: str, *numbers: int) -> None:
    """What `ray_tasks` does to the stack of these Runs."""
    (store.root / f"{runs[0].id}.{what}").write_text(json.dumps(numbers))


def steps(store: Store, runs: list[Run]) -> list[int]:
    return ray_tasks.steps(store.root / runs[0].id)


def assert_same(ours: Store, expected: Store, runs: list[Run]) -> None:
    """Equal files, but for `env.json`, which holds times."""
    for run in runs:
        a, b = (s.record(PROFILE, run.id) for s in (ours, expected))
        a.verify()
        files = [{**r.final.pop("files"), "env.json": ""} for r in (a, b)]
        assert a.final == b.final
        assert files[0] == files[1]


@pytest.mark.slow
def test_a_cluster_started_for_the_call_records_what_the_local_engine_does(
    empty: Store, alone: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        outcome = cluster.train(RUNS, empty, PROFILE, OPTIONS)
        assert list(Path(folder).iterdir()) == []
    assert (sorted(outcome.done), outcome.unfinished) == (sorted(IDS), [])
    assert_same(empty, alone, RUNS)
    env = empty.record(PROFILE, IDS[0]).env
    assert (env["placed_by"], env["engine"], env["stack_width"]) == ("ray", "eager", 2)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, address: str) -> SimpleNamespace:
    """One stack's worker was killed once, in its second epoch; the other's every time."""
    store = Store(tmp_path_factory.mktemp("disturbed"))
    arrange(store, WIDE, "deaths", 60)
    arrange(store, SINGLE, "deaths", 30, 1, 1, 1)
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_images(patch)
        patch.setattr(nodes, "RETRIES", 1)
        return SimpleNamespace(
            store=store, outcome=cluster.train(RUNS, store, PROFILE, OPTIONS, address)
        )


@pytest.mark.slow
def test_a_killed_worker_s_stack_is_retried_to_the_same_records(
    disturbed: SimpleNamespace, alone: Store
) -> None:
    assert sorted(disturbed.outcome.done) == sorted(IDS[:2])
    assert_same(disturbed.store, alone, WIDE)


@pytest.mark.slow
def test_the_retry_goes_on_from_the_checkpoint(disturbed: SimpleNamespace) -> None:
    assert steps(disturbed.store, WIDE) == [59, STEPS - 2 * small.BLOCK]


@pytest.mark.slow
def test_a_worker_that_always_dies_fails_its_stack_alone(disturbed: SimpleNamespace) -> None:
    reason = disturbed.outcome.failed[SINGLE[0].id]
    assert "worker died in each of 2 attempts (WorkerCrashedError)" in reason
    assert disturbed.store.failures(PROFILE) == {SINGLE[0].id: reason}
    assert disturbed.outcome.unfinished == []


@pytest.mark.slow
def test_an_interrupted_training_continues_with_the_local_engine_to_the_same_records(
    empty: Store, alone: Store, address: str
) -> None:
    arrange(empty, WIDE, "ctrl-c", os.getpid())
    with pytest.raises(KeyboardInterrupt):
        cluster.train(RUNS, empty, PROFILE, OPTIONS, address)
    assert checkpoint.path_of(empty.folder(PROFILE) / ".checkpoints", Stack(tuple(WIDE))).exists()
    assert local.train(RUNS, empty, PROFILE, OPTIONS).unfinished == []
    assert_same(empty, alone, RUNS)


@pytest.mark.slow
def test_a_worker_of_another_commit_stops_the_training(
    empty: Store, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "software", lambda: {"commit": "0123abc"})
    with refused(MachineError, "instead of 0123abc", "same commit"):
        cluster.train(RUNS, empty, PROFILE, OPTIONS, address)


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of Ray: this process does one task after the other."""
    monkeypatch.setattr(nodes, "connected", contextlib.nullcontext)
    monkeypatch.setattr(nodes, "share", lambda *_: nodes.Share(1, 0, 1))
    monkeypatch.setattr(nodes, "send", lambda f, *a, **_: lambda: f(*a))
    monkeypatch.setattr(nodes, "results", lambda tasks, _: ((w, t()) for t, w in tasks.items()))


@pytest.mark.usefixtures("in_turn")
def test_a_spent_budget_names_what_is_unfinished(empty: Store) -> None:
    spent = replace(OPTIONS, budget_seconds=0.0)
    assert cluster.train(RUNS, empty, PROFILE, spent) == Outcome(unfinished=IDS)


@pytest.mark.usefixtures("in_turn")
def test_what_a_run_starts_from_is_trained_first(empty: Store) -> None:
    tuned = replace(RUNS[1], variant="tiny_tuned", start=RUNS[1])
    assert cluster.train([tuned], empty, PROFILE, OPTIONS).done == [RUNS[1].id, tuned.id]


@pytest.mark.usefixtures("in_turn")
def test_without_what_it_starts_from_nothing_is_noted_against_a_run(empty: Store) -> None:
    tuned = replace(RUNS[1], variant="tiny_tuned", start=RUNS[1])
    spent = replace(OPTIONS, budget_seconds=0.0)
    assert cluster.train([tuned], empty, PROFILE, spent).failed == {}


@pytest.mark.usefixtures("in_turn")
def test_the_store_holds_no_file_of_the_driver_afterwards(empty: Store) -> None:
    cluster.train(RUNS[1:2], empty, PROFILE, OPTIONS)
    locks = empty.folder(PROFILE) / ".locks"
    assert [p.name for p in locks.iterdir()] == [f"{IDS[1]}.lock"]


def job(store: Store, **changes: Any) -> Any:
    (store.folder(PROFILE) / ".locks").mkdir(parents=True)
    token = store.folder(PROFILE) / ".locks" / "driver"
    token.touch()
    job = cluster.Job(store.root, PROFILE, OPTIONS, token, nodes.software(), None)
    return replace(job, **changes)


def test_an_attempt_stops_at_the_deadline_and_the_next_goes_on(empty: Store, alone: Store) -> None:
    soon = job(empty, deadline=time.time() + 0.05)
    left = cluster.attempt(soon, WIDE).unfinished
    assert left == IDS[:2]
    assert sorted(cluster.attempt(replace(soon, deadline=None), WIDE).done) == sorted(IDS[:2])
    assert steps(empty, WIDE)[0] % small.BLOCK == 0
    assert sum(steps(empty, WIDE)) == STEPS
    assert_same(empty, alone, WIDE)


def test_what_a_killed_attempt_recorded_is_said_by_the_next(empty: Store) -> None:
    asked = job(empty)
    local.train(WIDE[:1], empty, PROFILE, OPTIONS)
    assert sorted(cluster.attempt(asked, WIDE).done) == sorted(IDS[:2])


def test_a_worker_that_does_not_see_the_store_is_refused(empty: Store, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / ".locks" / "driver"
    with refused(MachineError, str(tmp_path / "elsewhere"), "does not see", "all nodes share"):
        cluster.attempt(job(empty, token=elsewhere), WIDE)


@pytest.mark.parametrize(
    ("name", "value"), [("commit", "0123abc"), ("dirty", None), ("versions", {"torch": "1.0"})]
)
def test_a_worker_that_computes_otherwise_is_refused(
    name: str, value: object, empty: Store
) -> None:
    expected = {**nodes.software(), name: value}
    with refused(MachineError, f"instead of {value}", "same commit"):
        cluster.attempt(job(empty, software=expected), WIDE)


def test_a_run_held_by_another_is_refused_before_ray_starts(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes.ray, "init", None)
    with lock(empty.folder(PROFILE), IDS[1]), refused(MachineError, IDS[1], "another process"):
        cluster.train(RUNS, empty, PROFILE, OPTIONS)


def test_an_attempt_waits_for_the_locks_of_a_dying_one(empty: Store) -> None:
    asked, held = job(empty), lock(empty.folder(PROFILE), IDS[1])
    held.__enter__()
    freed = threading.Timer(0.5, held.__exit__, (None, None, None))
    freed.start()
    assert cluster.attempt(asked, WIDE).unfinished == []


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_named(address: str, empty: Store) -> None:
    with refused(MachineError, f"Ray at {address}", "ray start --head"):
        cluster.train(RUNS, empty, PROFILE, OPTIONS, address)


def test_when_all_is_recorded_ray_is_not_started(
    alone: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes.ray, "init", None)
    assert cluster.train(RUNS, alone, PROFILE, OPTIONS) == Outcome()


@pytest.mark.parametrize(
    ("machines", "stacks", "threads", "expected"),
    [
        ([{"CPU": 8.0}], 1, None, nodes.Share(1, 0, 8)),
        ([{"CPU": 8.0}, {"CPU": 8.0}], 3, None, nodes.Share(2, 0, 4)),
        ([{"CPU": 2.0}], 3, None, nodes.Share(1, 0, 1)),
        ([{"CPU": 8.0}], 3, 3, nodes.Share(1, 0, 3)),
        ([{"CPU": 8.0}, {"CPU": 4.0, "GPU": 2.0}], 3, None, nodes.Share(2, 1, 1)),
    ],
    ids=["all", "shared", "in turns", "asked", "gpus"],
)
def test_stacks_share_the_cluster(
    machines: list[dict[str, float]],
    stacks: int,
    threads: int | None,
    expected: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [{"Alive": True, "Resources": r} for r in machines]
    monkeypatch.setattr(nodes.ray, "nodes", lambda: [*found, {"Alive": False, "Resources": {}}])
    assert nodes.share(stacks, threads) == expected


def test_more_threads_than_a_node_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [{"Alive": True, "Resources": {"CPU": 4.0}}] * 2
    monkeypatch.setattr(nodes.ray, "nodes", lambda: found)
    with refused(MachineError, "--threads 5", "4 CPUs"):
        nodes.share(2, 5)
