"""From a trained stack to its records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from repro.machine.provenance import environment
from repro.machine.saved.keeper import Keeper
from repro.machine.saved.weights import save_weights, weights_path
from repro.machine.work import Work
from repro.model.layers import Params
from repro.plan.run import Run
from repro.store import Store, failures, files, states
from repro.store.sealed import Arrays
from repro.train.log import LaneLog
from repro.train.score import Images
from repro.train.tasks import task_of
from repro.train.tasks.task import Score


class Trained(NamedTuple):
    """What a lane ends with: parameters, Adam's moments and count of updates, its last score."""

    params: Params
    adam: Params
    last: Score


def record_stack(work: Work, keeper: Keeper, last: dict[int, Score], source: Any) -> None:
    """Write the records of a trained stack that are not there yet."""
    stack, log, outcome = keeper.stack, keeper.log, work.outcome
    env = _environment(work, keeper, source)
    for k, run in enumerate(stack.runs):
        if states.recorded(work.store, work.profile, run):
            outcome.settle(run.id)
            continue
        env["wall_seconds"] = round(log.seconds, 1)
        trained = ended(keeper, k, last.get(k))
        images, _ = work.data.images(run)
        record_lane(work.store, work.profile, run, log.lanes[k], trained, images, env)
        (outcome.done if trained else outcome.diverged).append(run.id)
        outcome.settle(run.id)
        if k + 1 < len(stack.runs):
            work.stopper.stop_if_asked(keeper.save)


def _environment(work: Work, keeper: Keeper, source: Any) -> dict[str, Any]:
    placed, pinned = work.options.placed_by, keeper.pinned
    stepped = pinned.stepped_down
    return {
        **environment(work.device),
        **({"placed_by": placed} if placed else {}),
        "engine": pinned.engine,
        **({"stepped_down": stepped} if stepped else {}),
        "precision": pinned.precision,
        "stack_width": len(keeper.stack.runs),
        "stacks_at_once": work.at_once,
        "data": source,
    }


def ended(keeper: Keeper, k: int, last: Score | None) -> Trained | None:
    """What lane k ends with, for its record and for Runs that start there; None: it diverged."""
    if last is None:
        return None
    stack, state = keeper.stack, keeper.state
    moments = {"m": stack.own(state.m, k), "v": stack.own(state.v, k)}
    adam = {f"{part}/{n}": x for part, own in moments.items() for n, x in own.items()}
    return Trained(stack.own(state.params, k), {"t": state.t, **adam}, last)


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
    store.write(profile, run, finished(env, images), final, curve, arrays)
    failures.path_of(folder, run.id).unlink(missing_ok=True)


def finished(env: dict[str, Any], images: Images) -> dict[str, Any]:
    """With what is known after scoring only."""
    return {**env, "scoring_rows": images.room.rows, "finished": failures.now()}


def sweep(store: Store, profile: str, runs: Iterable[Run], checkpoint: Path) -> None:
    """Clear away what a killed process left of these Runs, which are locked."""
    folder = store.folder(profile)
    for run in runs:
        store.sweep(profile, run.id)
        files.sweep_files(weights_path(folder, run))
    files.sweep_files(checkpoint)
