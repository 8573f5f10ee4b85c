"""From a trained lane to its record."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from repro.errors import MachineError, RecordError
from repro.machine.device import multiprocessors
from repro.machine.saved.checkpoint import Pinned
from repro.machine.saved.weights import save_weights, weights_path
from repro.machine.work import Outcome
from repro.model.layers import Params
from repro.plan.run import Run
from repro.store import Record, Store
from repro.store.files import sweep_files, write_file
from repro.train.log import LaneLog
from repro.train.score import Arrays, Images
from repro.train.tasks import task_of
from repro.train.tasks.task import Score


def recorded(store: Store, profile: str, run: Run) -> bool:
    """Whether the store holds this very Run. Raises RecordError where another has its place."""
    record = store.find(profile, run.id)
    if record is not None and record.run.hash != run.hash:
        raise RecordError(
            f"{record.folder}: holds another configuration of {run.id}: move it out of runs/ to"
            " train this"
        )
    return record is not None


def refuse_other_data(begun: str | None, source: dict[str, Any], where: Path) -> None:
    """Raises RecordError when a Run was begun on another version of its data than `source`."""
    if begun and begun != source["hash"]:
        raise RecordError(
            f"{where}: begun on other {source['name']} data than the {source['version']} set here:"
            " point --data-dir at those; or, of a Run in runs/, remove it and train again"
        )


def refuse_other_device(begun: Pinned, here: torch.device, where: Path) -> None:
    """Raises MachineError when a checkpoint was begun on a device that draws other numbers."""
    remedy = "continue it there, or remove it to begin again"
    if begun.device != here.type:
        raise MachineError(
            f"{where}: was begun on {begun.device}, and here training runs on {here.type}: {remedy}"
        )
    pinned = begun.multiprocessors  # None: older than the choice, or of a CPU
    if pinned is not None and pinned != (count := multiprocessors(here)):
        raise MachineError(
            f"{where}: was begun on a device with {pinned} multiprocessors, on whose"
            f" number its draws depend, and the one here has {count}: {remedy}"
        )


class Trained(NamedTuple):
    """What a lane ends with: parameters, Adam's moments and count of updates, its last score."""

    params: Params
    adam: Params
    last: Score


def record_lane(
    store: Store,
    profile: str,
    run: Run,
    lane: LaneLog,
    trained: Trained | None,
    images: Images,
    env: dict[str, Any],
) -> None:
    """Score a finished lane in full and write its record; `trained` is None if it diverged."""
    folder, task = store.folder(profile), task_of(run)
    final = {"state": "diverged", "diverged_at": lane.diverged_at, **task.unmeasured}
    arrays: dict[str, Arrays] = {}
    if trained is not None:
        measured, arrays = task.final(run, images, trained.last)
        final = {"state": "done", "diverged_at": None, **measured}
        kept = trained.params, trained.adam, trained.last.seen
        save_weights(weights_path(folder, run), run, *kept)
    arrays |= task.history(run, lane)
    curve = pd.DataFrame(lane.rows)
    store.write(profile, run, _finished(env, images), final, curve, arrays)
    failure_path(folder, run).unlink(missing_ok=True)


def rescore(
    store: Store,
    record: Record,
    last: Score,
    images: Images,
    env: dict[str, Any],
    more: dict[str, Any],
) -> None:
    """Put the final metrics of a Run, measured again, beside its record. env: where.

    more: what was measured besides.
    """
    measured, arrays = task_of(record.run).final(record.run, images, last)
    store.add(record, _finished(env, images), {**measured, **more}, arrays)


def _finished(env: dict[str, Any], images: Images) -> dict[str, Any]:
    """With what is known after scoring only."""
    return {**env, "scoring_rows": images.room.rows, "finished": now()}


def sweep(store: Store, profile: str, runs: Iterable[Run], checkpoint: Path) -> None:
    """Clear away what a killed process left of these Runs, which are locked."""
    folder = store.folder(profile)
    for run in runs:
        store.sweep(profile, run.id)
        sweep_files(weights_path(folder, run))
        sweep_files(failure_path(folder, run))
    sweep_files(checkpoint)


def failure_path(folder: Path, run: Run) -> Path:
    return folder / ".failed" / f"{run.id}.json"


def note_failures(
    store: Store, profile: str, runs: Iterable[Run], reason: str, outcome: Outcome
) -> None:
    """Note why these Runs failed, but for those of them that were recorded before."""
    for run in runs:
        if recorded(store, profile, run):
            continue
        note = {"run": run.id, "reason": reason, "at": now(), "pid": os.getpid()}
        write_file(failure_path(store.folder(profile), run), json.dumps(note).encode())
        outcome.failed[run.id] = reason
        outcome.settle(run.id)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
