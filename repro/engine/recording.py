"""From a trained lane to its record."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from repro.config import Run
from repro.engine.checkpoint import save_weights
from repro.errors import RecordError
from repro.layers import Net
from repro.score import Arrays, EpochScore, Images, score_final
from repro.store import Record, Store, write_file
from repro.train import LaneLog

SHAPES = {"mnist": (28, 28)}


def recorded(store: Store, profile: str, run: Run) -> bool:
    """Whether the store holds this very Run. Raises RecordError where another has its place."""
    record = store.find(profile, run.id)
    if record is not None and record.run.hash != run.hash:
        raise RecordError(
            f"{record.folder}: holds another configuration of {run.id}: move it away to train this"
        )
    return record is not None


def record_lane(
    store: Store,
    profile: str,
    run: Run,
    lane: LaneLog,
    trained: tuple[Net, EpochScore] | None,
    images: Images,
    env: dict[str, Any],
) -> None:
    """Score a finished lane in full and write its record; `trained` is None if it diverged."""
    folder = store.folder(profile)
    final, arrays = diverged_final(lane), dict[str, Arrays]()
    if trained is not None:
        net, last = trained
        measured, arrays = score_final(run, images, last, SHAPES[run.data.name])
        final = {"state": "done", "diverged_at": None, **measured}
        save_weights(weights_path(folder, run), run, net.params)
    arrays["kl_units"] = _kl_units(run, lane)
    curve = pd.DataFrame(lane.rows)
    store.write(profile, run, {**env, "finished": now()}, final, curve, arrays)
    (folder / ".failed" / f"{run.id}.json").unlink(missing_ok=True)


def rescore(
    store: Store, record: Record, last: EpochScore, images: Images, env: dict[str, Any]
) -> None:
    """Rewrite the final metrics of a record; its curve and KL history stay."""
    run = record.run
    measured, arrays = score_final(run, images, last, SHAPES[run.data.name])
    arrays["kl_units"] = record.arrays("kl_units")
    final = {"state": "done", "diverged_at": None, **measured}
    store.write(record.profile, run, env, final, record.curve(), arrays)


def _kl_units(run: Run, lane: LaneLog) -> Arrays:
    layer = np.repeat(np.arange(1, run.model.depth + 1), run.model.latents)
    return {
        "epochs": np.array(lane.kl_epochs),
        "train": np.array(lane.kl_train, np.float32).reshape(-1, len(layer)),
        "test": np.array(lane.kl_test, np.float32).reshape(-1, len(layer)),
        "layer": layer.astype(np.uint8),
    }


def diverged_final(lane: LaneLog) -> dict[str, Any]:
    """`final.json` of a Run whose bound stopped being finite."""
    metrics = ("L1_train", "L1_test", "L1_se", "LK_test", "K", "LK_images", "LK_se", "LK_mc_error")
    layers = ("kl_layers", "active_units", "negative_units")
    return {
        "state": "diverged",
        "diverged_at": lane.diverged_at,
        **dict.fromkeys(metrics),
        **{n: [] for n in layers},
    }


def weights_path(folder: Path, run: Run) -> Path:
    return folder / ".weights" / f"{run.id}.safetensors"


def note_failure(folder: Path, run: Run, reason: str) -> None:
    note = {"run": run.id, "reason": reason, "at": now(), "pid": os.getpid()}
    write_file(folder / ".failed" / f"{run.id}.json", json.dumps(note).encode())


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
