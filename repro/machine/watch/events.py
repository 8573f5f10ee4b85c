"""Event files for TensorBoard: the rows of each Run's curve, as they are written down.

An observer: nothing reads them back, and no record depends on them. TensorBoard is an optional
extra, imported only where it is asked for; of it only the file format is used, which needs no
thread and says at once when a disk is full.
"""

import importlib.util
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repro.errors import MachineError
from repro.train.log import LaneLog, Log, Row

FOLDER = ".tensorboard"
VERSION = "brain.Event:2"  # of the format


def require() -> None:
    """Raises MachineError without TensorBoard."""
    if importlib.util.find_spec("tensorboard") is None:
        raise MachineError(
            "--tensorboard: TensorBoard is not installed: pip install 'lvae-repro[tensorboard]',"
            " or pip install -r requirements-extras.txt"
        )


class Events:
    """`<folder>/.tensorboard/<run id>/` of every lane, written anew from the log's first row on.

    So each epoch is there once, whatever a process that was killed had written. Raises
    MachineError without TensorBoard.
    """

    def __init__(self, folder: Path, run_ids: Sequence[str]) -> None:
        require()
        self.folders = [folder / FOLDER / run_id for run_id in run_ids]
        self.files: list[EventFile] = []

    def write(self, log: Log) -> None:
        """The rows that are not written yet; between blocks every row of a log is complete.

        Raises OSError where the folder or its disk does not allow it.
        """
        self.files = self.files or [EventFile(folder) for folder in self.folders]
        for file, lane in zip(self.files, log.lanes, strict=True):
            file.write(lane)

    def close(self) -> None:
        for file in self.files:
            file.file.close()


class EventFile:
    """One Run's."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path = folder / f"events.out.tfevents.{time.time():.0f}"
        self.file, self.rows = path.open("wb"), 0
        self.records: Any = RecordWriter(self.file)
        self._add(Event(wall_time=time.time(), file_version=VERSION))

    def write(self, lane: LaneLog) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for row in lane.rows[self.rows :]:
            values = [Summary.Value(tag=tag(n), simple_value=v) for n, v in numbers(row).items()]
            now = Summary(value=values)
            self._add(Event(wall_time=time.time(), step=int(row["epoch"] or 0), summary=now))
            self.rows += 1

    def _add(self, event: Any) -> None:
        self.records.write(event.SerializeToString())
        self.file.flush()


def numbers(row: Row) -> dict[str, float]:
    """What was measured in an epoch."""
    return {n: v for n, v in row.items() if v is not None and n != "epoch"}


def tag(column: str) -> str:
    """A column of the curve, in the group of those that begin alike: L1/L1_test, KL/KL_3."""
    return f"{column.partition('_')[0]}/{column}"
