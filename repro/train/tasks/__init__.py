"""Table of tasks: what training, scoring and recording mean for each kind of model."""

from __future__ import annotations

from repro.config import Run
from repro.models import MODELS
from repro.tasks.hierarchies import HIERARCHIES
from repro.tasks.ladders import LADDERS
from repro.tasks.task import Again, Compared, Objective, Score, Task

__all__ = ["TASKS", "Again", "Compared", "Objective", "Score", "Task", "task_of"]

TASKS = {**dict.fromkeys(MODELS, HIERARCHIES), "ladder": LADDERS}


def task_of(run: Run) -> Task:
    """What to do with a Run, and with every other of its stack."""
    return TASKS[run.model.family]
