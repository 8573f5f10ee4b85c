"""Stacks side by side: they take turns, and each ends as it would have alone."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from typing import Any

import pytest
import small
import small_training
import torch
from fixture_data import refused
from small_training import APART, BLOCKS, EPOCHS, PROFILE, STEPS, assert_same, checkpoints, hooked

from repro.errors import MachineError
from repro.machine import cost as predict
from repro.machine import device
from repro.machine.arrange import together
from repro.machine.cuda.branches import grouped, side_by_side
from repro.machine.cuda.graph import WARM_UPS
from repro.machine.local import train
from repro.machine.saved.checkpoint import Pinned
from repro.machine.saved.stopping import BudgetSpent, Stopper
from repro.machine.work import Options, Outcome, Work
from repro.model.stack import Stack
from repro.store import Store
from repro.store.locks import lock
from repro.train.minibatch import BLOCK

TURNS = Options(engine="captured", threads=1, side_by_side=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The records of APART, trained one after the other."""
    one_by_one = Options(engine="captured", threads=1)
    return small_training.trained(tmp_path_factory.mktemp("whole"), APART, one_by_one)


# Taking turns


def test_branches_take_turns_and_what_stops_one_closes_the_others_though_one_cannot_save() -> None:
    heard: list[str] = []

    @contextlib.contextmanager
    def turn(name: str) -> Iterator[None]:
        heard.append(f"<{name}")
        yield
        heard.append(f"{name}>")

    def branch(name: str, blocks: int, error: BaseException | None = None) -> Any:
        try:
            for _ in range(blocks):
                heard.append("block")
                yield
            return f"end of {name}"
        finally:
            heard.append("end")
            if error:
                raise error

    turns: Any = [lambda: turn("a"), lambda: turn("b")]
    assert side_by_side([branch("a", 1), branch("b", 2)], turns) == ["end of a", "end of b"]
    blocks = "<a block a> <b block b> <a end a> <b block b> <b end b>"
    assert " ".join(heard).startswith(blocks)
    three = branch("a", 9), branch("b", 9, MachineError("full")), branch("", 1, BudgetSpent())
    with pytest.raises(MachineError, match="full"):
        side_by_side(three, [*turns, contextlib.nullcontext])
    assert heard[-3:] == ["<a", "end", "a>"]


def test_groups_are_neighbours_that_may_go_together() -> None:
    assert grouped([3, 1, 1, 9, 2], lambda g: sum(g) <= 4) == [[3, 1], [1], [9], [2]]


# Training


def test_stacks_side_by_side_record_what_they_do_alone(store, whole, monkeypatch, capsys):
    turns: list[str] = []
    hooked(monkeypatch, lambda stack, n: turns.append(stack.model.family))
    assert sorted(train(APART, store, PROFILE, TURNS).done) == sorted(r.id for r in APART)
    assert {turns[0], turns[-1]} == {"lvae", "vae"}
    changes = sum(a != b for a, b in pairwise(turns))
    assert changes == 2 * EPOCHS * BLOCKS - 1
    lines = capsys.readouterr().err.splitlines()
    for run in APART:
        assert_same(store, whole, run)
        at_once = [s.record(PROFILE, run.id).env["stacks_at_once"] for s in (whole, store)]
        assert at_once == [1, 2]  # one after the other is the rule on a CPU
        assert any(line.startswith(f"  {run.id}: 1/{EPOCHS} epochs") for line in lines)


def test_a_spent_budget_saves_every_branch_and_they_end_the_same(store, whole, monkeypatch):
    with monkeypatch.context() as patch:
        spend, asked = Stopper.stop_if_asked, count(1)

        def spent(self: Stopper, save: Callable[[], None]) -> None:
            self.budget_seconds = 0.0 if next(asked) == 3 else None
            spend(self, save)

        patch.setattr(Stopper, "stop_if_asked", spent)
        assert len(train(APART, store, PROFILE, TURNS).unfinished) == 2
    assert len(checkpoints(store)) == 2
    assert train(APART, store, PROFILE, TURNS).unfinished == []
    assert_same(store, whole, *APART)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_saves_the_other_branch_and_both_end_alike(times, store, whole, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        hooked(patch, small_training.send(signal.SIGINT, 2 * STEPS + 6, times))
        with pytest.raises(KeyboardInterrupt):
            train(APART, store, PROFILE, TURNS)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(checkpoints(store)) == 3 - times  # the second stops the one that works at once
    train(APART, store, PROFILE, TURNS)
    assert (checkpoints(store), small_training.strays(store)) == ([], [])
    assert_same(store, whole, *APART)


def test_a_stack_that_fails_does_not_stop_the_one_beside_it(store, whole, monkeypatch):
    def fail(stack: Stack, n: int) -> None:
        if stack.model.family == "vae" and n > 2 * (WARM_UPS + BLOCK):  # after its first block
            raise ValueError("broken")

    hooked(monkeypatch, fail)
    outcome = train(APART, store, PROFILE, TURNS)
    assert outcome == Outcome(done=[APART[0].id], failed={APART[1].id: "ValueError: broken"})
    assert_same(store, whole, APART[0])


def test_a_stack_without_memory_beside_another_trains_after_it(store, whole, monkeypatch, capsys):
    tries: list[str] = []

    def hungry(stack: Stack, n: int) -> None:
        if stack.model.family == "vae" and n < 2 * STEPS:
            tries.append("vae")
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    hooked(monkeypatch, hungry)
    assert train(APART, store, PROFILE, TURNS).done == [run.id for run in APART]
    assert tries == ["vae"]
    assert f"{APART[1].id}: out of device memory; alone after" in capsys.readouterr().err
    assert_same(store, whole, *APART)


def test_a_run_that_another_process_has_stops_all_and_saves_what_has_begun(store: Store) -> None:
    with lock(store.folder(PROFILE), APART[1].id), refused(MachineError, APART[1].id):
        train(APART, store, PROFILE, TURNS)
    assert len(checkpoints(store)) == 1


# Which go together


def stacks(n: int, engine: str = "graph") -> list[tuple[Stack, Pinned]]:
    return [(Stack((small.run(seed=i),)), Pinned(engine, 1, "cuda", "tf32")) for i in range(n)]


def test_a_few_stacks_captured_alike_on_cuda_go_side_by_side_if_they_fit(store, monkeypatch):
    here, run = Work(store, PROFILE, Options()), small.run()
    here.device = torch.device("cuda")
    monkeypatch.setattr(device, "memory", lambda _: 2**36)
    assert [together(here, stacks(n)) for n in (2, 4, 5)] == [True, True, False]
    assert not together(here, stacks(2, "eager"))
    assert not together(here, [*stacks(1), *stacks(1, "captured")])
    two = (predict.scoring_bytes(run) + 2 * predict.lane_bytes(run)) / predict.CUDA_SHARE
    monkeypatch.setattr(device, "memory", lambda _: two + 1)
    assert [together(here, stacks(n)) for n in (2, 3)] == [True, False]
