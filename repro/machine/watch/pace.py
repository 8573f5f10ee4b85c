"""How quickly a stack trains, and how much longer it will."""

from __future__ import annotations

from collections.abc import Sequence

REMEMBERED = 600.0  # seconds; what is older counts for less


class Pace:
    """Measured from the first look on: what was trained before, or compiled, says nothing of it.

    Scoring is set apart, as its epochs are not spread evenly. On a CUDA device an epoch's steps
    may end while it is scored; what is left then still adds up.
    """

    def __init__(self, epochs: int, steps: int, scored: Sequence[int]) -> None:
        self.epochs, self.steps, self.scored = epochs, steps, scored
        self.before: tuple[float, int] | None = None
        self.seconds, self.trained, self.scoring = 0.0, 0.0, 0.0

    def look(self, now: float, epoch: int, step: int) -> None:
        """After every block, and after every epoch: its number `epoch`, and step 0 of the next."""
        done = epoch * self.steps + step
        if self.before is not None:
            passed, steps = now - self.before[0], done - self.before[1]
            if steps == 0 and epoch in self.scored:
                self.scoring = passed
            else:
                self.seconds, self.trained = self.seconds + passed, self.trained + steps
            if self.seconds > REMEMBERED:
                self.seconds, self.trained = self.seconds / 2, self.trained / 2
        self.before = now, done

    @property
    def seconds_left(self) -> float | None:
        """Until training ends; None before anything was measured."""
        if self.before is None or not self.trained:
            return None
        done = self.before[1]
        closed = done / self.steps  # an epoch's last block and its scoring are at the same step
        ahead = sum(e > closed for e in self.scored if e <= self.epochs)
        rest = self.epochs * self.steps - done
        return rest * self.seconds / self.trained + ahead * self.scoring
