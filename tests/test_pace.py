"""The predicted end of a training: what was measured, and what is left of it."""

import pytest

from repro.machine.watch.pace import Pace


def pace_of(epochs: int, scored: tuple[int, ...] = ()) -> Pace:
    return Pace(epochs, steps=10, scored=scored)


def simulate(pace: Pace, first: int, last: int, step: float = 1.0, begun: float = 0.0) -> float:
    """Epochs in two blocks, whose steps take `step` each, and a scoring 7; the time after."""
    now = begun
    for epoch in range(first, last + 1):
        for done in (5, 10):
            now += 5 * step
            pace.look(now, epoch - 1, done)
        now += 7.0 if epoch in pace.scored else 0.0
        pace.look(now, epoch, 0)
    return now


def test_steps_and_scorings_ahead_are_counted_apart() -> None:
    pace = pace_of(8, scored=(1, 2, 5, 8))
    simulate(pace, 1, 2)
    assert pace.seconds_left == pytest.approx(6 * 10 + 2 * 7)
    simulate(pace, 3, 8, begun=34.0)
    assert pace.seconds_left == 0


def test_a_stack_that_continues_is_measured_from_there_on() -> None:
    """Not as if all that lies behind it had been trained since, nor while it was compiled."""
    pace = pace_of(100, scored=(1, 50, 100))
    simulate(pace, 91, 92, begun=3600.0)
    assert pace.seconds_left == pytest.approx(8 * 10)


def test_nothing_is_predicted_before_something_was_measured() -> None:
    """The pace is that since the first look, scoring included."""
    pace = pace_of(3, scored=(1,))
    assert (pace.seconds_left, pace.steps_per_second) == (None, None)
    pace.look(100.0, 0, 5)
    assert (pace.seconds_left, pace.steps_per_second) == (None, None)
    pace.look(105.0, 0, 10)
    assert pace.seconds_left == pytest.approx(20.0)
    pace.look(112.0, 1, 0)
    simulate(pace, 2, 2, begun=112.0)
    assert pace.steps_per_second == pytest.approx(15 / (2 * 10 + 7 - 5))


def test_a_machine_that_slows_down_is_noticed() -> None:
    pace = pace_of(10_000)
    now = simulate(pace, 1, 100)
    simulate(pace, 101, 300, step=3.0, begun=now)
    assert pace.seconds_left == pytest.approx(9_700 * 10 * 3.0, rel=0.05)
