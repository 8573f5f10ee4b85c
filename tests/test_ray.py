"""A Ray cluster records what a local training does, whatever happens to the workers."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixture_data import refused
from ray_tasks import (
    EPOCH,
    IDS,
    OPTIONS,
    PROFILE,
    RUNS,
    SINGLE,
    STEPS,
    WIDE,
    arrange,
    cluster,
    in_place,
    steps,
)
from trainee import differences

from repro.errors import MachineError
from repro.machine import local
from repro.machine.ray import nodes
from repro.machine.saved import checkpoint
from repro.model.stack import Stack
from repro.store import Store

pytestmark = pytest.mark.slow
ALONE = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}


@pytest.fixture(autouse=True)
def tiny_images(monkeypatch: pytest.MonkeyPatch) -> None:
    in_place(monkeypatch)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What the local engine records."""
    store = Store(tmp_path_factory.mktemp("alone"))
    with pytest.MonkeyPatch.context() as patch:
        in_place(patch)
        local.train(RUNS, store, PROFILE, OPTIONS)
    return store


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        two = Cluster()
        for _ in range(2):
            two.add_node(num_cpus=1, object_store_memory=nodes.OBJECT_BYTES, **ALONE)
        yield two.address
        two.shutdown()


def test_a_cluster_started_for_the_call_records_what_the_local_engine_does(
    store, alone, monkeypatch
):
    before = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        outcome = cluster.train(RUNS, store, PROFILE, OPTIONS)
        assert list(Path(folder).iterdir()) == []
    assert (sorted(outcome.done), outcome.unfinished) == (sorted(IDS), [])
    assert differences(store, alone, RUNS) == []
    env = store.record(PROFILE, IDS[0]).env
    assert (env["placed_by"], env["engine"], env["stack_width"]) == ("ray", "eager", 2)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_killed_worker_s_stack_goes_on_to_the_same_records_or_fails_alone(
    store, alone, address, monkeypatch
):
    """One stack's worker is killed once, in its second epoch; the other's every time."""
    arrange(store, WIDE, "deaths", EPOCH + 8)
    arrange(store, SINGLE, "deaths", 30, 1, 1, 1)
    monkeypatch.setattr(nodes, "RETRIES", 1)
    outcome = cluster.train(RUNS, store, PROFILE, OPTIONS, address)
    assert (sorted(outcome.done), outcome.unfinished) == (sorted(IDS[:2]), [])
    assert differences(store, alone, WIDE) == []
    assert steps(store, WIDE) == [EPOCH + 7, STEPS - EPOCH]
    reason = outcome.failed[SINGLE[0].id]
    assert "worker died in each of 2 attempts (WorkerCrashedError)" in reason
    assert store.failures(PROFILE) == {SINGLE[0].id: reason}


def test_an_interrupted_training_continues_with_the_local_engine_to_the_same_records(
    store, alone, address
):
    arrange(store, WIDE, "ctrl-c", os.getpid())
    with pytest.raises(KeyboardInterrupt):
        cluster.train(RUNS, store, PROFILE, OPTIONS, address)
    assert checkpoint.path_of(store.folder(PROFILE) / ".checkpoints", Stack(tuple(WIDE))).exists()
    assert local.train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert differences(store, alone, RUNS) == []


def test_a_worker_of_another_commit_stops_the_training(store, address, monkeypatch):
    monkeypatch.setattr(cluster, "software", lambda: {"commit": "0123abc"})
    with refused(MachineError, "instead of 0123abc", "same commit"):
        cluster.train(RUNS, store, PROFILE, OPTIONS, address)
