"""The predicted end of a training: what was measured, and what is left of it."""

import pytest

from repro.machine.watch.pace import Pace


def simulate(
    pace: Pace, first: int, last: int, step: float = 1.0, score: float = 7.0, begun: float = 0.0
) -> float:
    """Epochs `first` to `last` in blocks of five steps that take `step` each; the time after."""
    now = begun
    for epoch in range(first, last + 1):
        for done in range(5, pace.steps + 1, 5):
            now += 5 * step
            pace.look(now, epoch - 1, done)
        now += score if epoch in pace.scored else 0.0
        pace.look(now, epoch, 0)
    return now


def test_steps_and_scorings_ahead_are_counted_apart() -> None:
    pace = Pace(epochs=8, steps=10, scored=(1, 2, 5, 8))
    simulate(pace, 1, 2)
    assert pace.seconds_left == pytest.approx(6 * 10 + 2 * 7)


def test_a_stack_that_continues_is_measured_from_there_on() -> None:
    """Not as if all that lies behind it had been trained since, nor while it was compiled."""
    pace = Pace(epochs=100, steps=10, scored=(1, 50, 100))
    simulate(pace, 91, 92, begun=3600.0)
    assert pace.seconds_left == pytest.approx(8 * 10)


def test_nothing_is_predicted_before_something_was_measured() -> None:
    pace = Pace(epochs=2, steps=10, scored=())
    assert pace.seconds_left is None
    pace.look(5.0, 0, 5)
    assert pace.seconds_left is None
    pace.look(10.0, 0, 10)
    assert pace.seconds_left == pytest.approx(10.0)


def test_a_machine_that_slows_down_is_noticed() -> None:
    pace = Pace(epochs=10_000, steps=10, scored=())
    now = simulate(pace, 1, 100)
    simulate(pace, 101, 300, step=3.0, begun=now)
    assert pace.seconds_left == pytest.approx(9_700 * 10 * 3.0, rel=0.05)


def test_nothing_is_left_at_the_end() -> None:
    pace = Pace(epochs=3, steps=10, scored=(3,))
    simulate(pace, 1, 3)
    assert pace.seconds_left == 0


def test_the_pace_is_that_since_the_first_look_scoring_included() -> None:
    pace = Pace(epochs=3, steps=10, scored=(1,))
    pace.look(100.0, 0, 5)
    assert pace.steps_per_second is None
    simulate(pace, 1, 2, begun=95.0)
    assert pace.steps_per_second == pytest.approx(15 / (2 * 10 + 7 - 5))
