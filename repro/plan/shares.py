"""Models of other papers train for the same share of their epochs as the profile's own models."""

from __future__ import annotations

from dataclasses import replace

from repro.plan.run import Evaluation, Schedule


def shrunk(
    epochs: int, schedule: Schedule, evaluation: Evaluation, published_epochs: int
) -> tuple[int, Evaluation]:
    """The share of `epochs` that `schedule` has of `published_epochs`, one or more; the evaluation
    with its epochs at their own shares of that.
    """
    E = max(1, round(epochs * schedule.epochs / published_epochs))
    scored = {max(1, round(e * E / schedule.epochs)) for e in evaluation.epochs}
    return E, replace(evaluation, epochs=tuple(sorted(scored)))
