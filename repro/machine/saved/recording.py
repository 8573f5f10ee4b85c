"""From a trained stack to its records."""

from typing import Any

import pandas as pd

from repro.machine.provenance import environment
from repro.machine.saved.keeper import Keeper
from repro.machine.saved.weights import save_weights, weights_path
from repro.machine.work import Work
from repro.store import failures, states
from repro.store.files import settle
from repro.store.sealed import Arrays
from repro.train.score import Images
from repro.train.tasks import task_of
from repro.train.tasks.task import Score


def record_stack(work: Work, keeper: Keeper, last: dict[int, Score], source: Any) -> None:
    """Write the records of a trained stack that are not there yet."""
    stack, pinned, outcome = keeper.stack, keeper.pinned, work.outcome
    placed, stepped = work.options.placed_by, pinned.stepped_down
    env: dict[str, Any] = {
        **environment(work.device, keeper.log.code),
        **({"placed_by": placed} if placed else {}),
        "engine": pinned.engine,
        **({"stepped_down": stepped} if stepped else {}),
        "precision": pinned.precision,
        "stack_width": len(stack.runs),
        "stacks_at_once": work.at_once,
        "data": source,
        "wall_seconds": round(keeper.log.seconds, 1),
    }
    for k, run in enumerate(stack.runs):
        if states.recorded(work.store, work.profile, run):
            continue
        record_lane(work, keeper, k, last.get(k), env)
        (outcome.done if k in last else outcome.diverged).append(run.id)
        if k + 1 < len(stack.runs):
            work.stopper.stop_if_asked(keeper.save)


def record_lane(
    work: Work, keeper: Keeper, k: int, last: Score | None, env: dict[str, Any]
) -> None:
    """Score lane k in full, keep its weights and write its record; `last` is None if it diverged.

    Runs that start there need its weights, Adam's moments and the count of its updates.
    """
    stack, state, lane = keeper.stack, keeper.state, keeper.log.lanes[k]
    run = stack.runs[k]
    task, (images, _) = task_of(run), work.data.images(run)
    final = {"state": "diverged", "diverged_at": lane.diverged_at, **task.unmeasured}
    arrays: dict[str, Arrays] = {}
    if last is not None:
        measured, arrays = task.final(run, images, last)
        final = {"state": "done", "diverged_at": None, **measured}
        moments = {"m": stack.own(state.m, k), "v": stack.own(state.v, k)}
        adam = {f"{part}/{n}": x for part, own in moments.items() for n, x in own.items()}
        params, path = stack.own(state.params, k), weights_path(work.folder, run)
        save_weights(path, run, params, {"t": state.t, **adam}, last.seen)
        settle(path)
    arrays |= task.history(run, lane)
    curve = pd.DataFrame(lane.rows)
    work.store.write(work.profile, run, finished(env, images), final, curve, arrays)
    failures.path_of(work.folder, run.id).unlink(missing_ok=True)


def finished(env: dict[str, Any], images: Images) -> dict[str, Any]:
    """With what is known after scoring only."""
    return {**env, "scoring_rows": images.room.rows, "finished": failures.now()}
