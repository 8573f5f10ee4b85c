"""What became of the Runs of one call of `train`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Run ids by what became of them."""

    done: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def settle(self, run_id: str) -> None:
        """It is no longer unfinished."""
        if run_id in self.unfinished:
            self.unfinished.remove(run_id)

    def add(self, part: Outcome) -> None:
        """Take over what became of some of these Runs."""
        self.done += part.done
        self.diverged += part.diverged
        self.failed |= part.failed
        for run_id in (*part.done, *part.diverged, *part.failed):
            self.settle(run_id)
