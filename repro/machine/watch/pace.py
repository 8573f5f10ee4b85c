"""How quickly a stack trains, and how much longer it will: numbers and words. No torch."""

from collections.abc import Sequence

REMEMBERED = 600.0  # seconds; what is older counts for less


class Pace:
    """Measured from the first look on: what was trained before, or compiled, says nothing of it.

    Scoring is set apart, as its epochs are not spread evenly. On a CUDA device an epoch's steps
    may end while it is scored; what is left then still adds up.
    """

    def __init__(self, epochs: int, steps: int, scored: Sequence[int]) -> None:
        self.epochs, self.steps, self.scored = epochs, steps, scored
        self.first: tuple[float, int] | None = None
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
        self.first = self.first or self.before

    @property
    def steps_per_second(self) -> float | None:
        """Since the first look, scoring included; None before anything was trained."""
        if self.first is None or self.before is None or self.before == self.first:
            return None
        passed, steps = (b - a for a, b in zip(self.first, self.before, strict=True))
        return steps / max(passed, 1e-9) or None

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


def in_words(duration: float) -> str:
    """A duration in seconds as people say it: 40 s, 12 min, 3.5 h, 2.1 days."""
    for limit, unit, size in ((90, "s", 1), (90 * 60, "min", 60), (48 * 3600, "h", 3600)):
        if duration < limit:
            digits = 1 if unit == "h" else 0
            return f"{duration / size:.{digits}f} {unit}"
    return f"{duration / 86400:.1f} days"


def place(epoch: int, epochs: int) -> str:
    """Where a stack is that has finished so many epochs."""
    return f"epoch {min(epoch + 1, epochs)} of {epochs}"


def said(images_per_second: float | None, seconds_left: float | None) -> list[str]:
    """What is known of both."""
    speed = f"{images_per_second:,.0f} images/s" if images_per_second else ""
    left = f"{in_words(seconds_left)} left" if seconds_left else ""
    return [words for words in (speed, left) if words]
