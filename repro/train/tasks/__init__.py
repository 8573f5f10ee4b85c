"""Table of tasks: what training, scoring and recording mean for each kind of model."""

from repro.model.families import MODELS
from repro.plan.run import Run
from repro.train.tasks.hierarchies import HIERARCHIES
from repro.train.tasks.ladders import LADDERS
from repro.train.tasks.task import Task

TASKS = {**dict.fromkeys(MODELS, HIERARCHIES), "ladder": LADDERS}


def task_of(run: Run) -> Task:
    """What to do with a Run, and with every other of its stack."""
    return TASKS[run.model.family]
