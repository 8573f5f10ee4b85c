"""What the engine asks of a kind of model."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from repro.data.images import Images as Raw
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store import Record
from repro.store.sealed import Arrays
from repro.train.ladder_score import LadderScore
from repro.train.log import LaneLog, Row
from repro.train.minibatch import Batches
from repro.train.score import EpochScore, Images

Objective = Callable[[Params, Any], Tensor]

Score = EpochScore | LadderScore  # of a lane after an epoch


class Again(NamedTuple):
    """What was measured of a Run's weights, long after its record was written."""

    images: Images
    last: Any  # score
    metrics: dict[str, Any]
    arrays: dict[str, Arrays]
    same_draws: bool  # whether they must be the record's; False: they may be others


class Compared(NamedTuple):
    """One metric of a record beside the same, measured again; how far apart they may lie."""

    name: str
    recorded: float
    again: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return abs(self.again - self.recorded) <= self.allowed


class Task(NamedTuple):
    """Functions that the loop and the records are made of, for one kind of model.

    images(run, data set): what training and scoring read of it. Raises DataError.
    row(run, epoch, mean of the objective): the epoch's row of the curve, with None where only an
    evaluation epoch has a number. score(stack, params, lane, images, epoch).
    final(run, images, last score): metrics of `final.json`, and arrays of a finished Run.
    history(run, lane): arrays written down while training, also of a Run that diverged.
    compared(record, again): a finished record beside the same, measured again. Raises RecordError.
    """

    feed: Callable[[Stack, Images], Batches]
    objective: Callable[[Stack], Objective]
    row: Callable[[Run, int, float], Row]
    images: Callable[[Run, Raw], Raw]
    score: Callable[[Stack, Params, int, Images, int], Score]
    final: Callable[[Run, Images, Any], tuple[dict[str, Any], dict[str, Arrays]]]
    history: Callable[[Run, LaneLog], dict[str, Arrays]]
    compared: Callable[[Record, Again], list[Compared]]
    unmeasured: dict[str, Any]  # metrics of a Run that diverged
    progress: Callable[[Sequence[Row]], str]  # of a curve: its last numbers, for people
    scoring: Callable[[Run], str]  # what happens after the last epoch
