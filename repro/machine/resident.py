"""Data sets on the device, where every stack of a call reads them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from repro import data
from repro.data.sources import directory
from repro.errors import RecordError
from repro.plan.run import Run
from repro.train.evaluate import Room
from repro.train.score import Images
from repro.train.tasks import task_of


@dataclass
class Resident:
    """What has been read of `data_dir`, each data set once; `room`: how it is scored."""

    data_dir: Path | None
    device: torch.device
    room: Room
    _sets: dict[Any, tuple[Images, dict[str, Any]]] = field(default_factory=dict)

    @property
    def named(self) -> str:
        """The folder that was named, from wherever it is asked; nothing where none was, or its
        name cannot be printed.
        """
        where = str(directory(self.data_dir).absolute()) if self.data_dir else ""
        return where if where.isprintable() else ""

    def images(self, run: Run) -> tuple[Images, dict[str, Any]]:
        """The data of a Run on the device, and its provenance. Raises DataError."""
        if run.data not in self._sets:
            raw = data.load(run.data, self.data_dir)
            ready = task_of(run).images(run, raw)
            images = Images(
                torch.from_numpy(ready.train).to(self.device),
                torch.from_numpy(ready.test).to(self.device),
                ready.test_labels,
                ready.train_labels,
                self.room,
            )
            source = {"name": raw.name, "version": raw.version, "source": raw.source}
            self._sets[run.data] = images, {**source, "hash": raw.content_hash}
        return self._sets[run.data]

    def refuse_other(self, run: Run, begun: str | None, where: Path) -> None:
        """Raises RecordError where a Run was begun on another version of its data than is here."""
        source = self.images(run)[1]
        if begun and begun != source["hash"]:
            raise RecordError(
                f"{where}: begun on other {source['name']} data than the {source['version']} set"
                " here: point --data-dir at those; or, of a Run in runs/, remove it and train again"
            )
