"""Scores finished Runs again from their final weights: beside a record, or to test it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from repro.errors import RecordError, UsageError
from repro.machine.provenance import continued, environment, on_cpu
from repro.machine.saved import recording, tensors, weights
from repro.machine.work import Options, Work
from repro.model.stack import Stack
from repro.store import Record, Store, locks
from repro.train.score import AIS, EpochScore, Images, annealed_scores
from repro.train.tasks import task_of
from repro.train.tasks.task import Again, Compared, Score


def evaluate(
    run_ids: list[str], store: Store, profile: str, options: Options, ais: int = 0
) -> None:
    """Score Runs again from their saved final weights, and put that beside their records.

    ais: of so many test images log p(x) is estimated too; without, an earlier estimate is kept.
    The batch-norm statistics beside the weights are rewritten. Raises RecordError where the
    record or the weights are missing or of another Run.
    """
    work, paths = Work(store, profile, options), {}
    for run_id in run_ids:
        record = store.record(profile, run_id)
        if ais and record.run.labels:
            raise UsageError(f"--ais: {run_id} is a Ladder network, which has no p(x): name others")
        if ais and ais > (most := len(work.data.images(record.run)[0].test)):
            raise UsageError(f"--ais {ais}: {run_id} has {most} test images: ask for fewer")
        paths[run_id] = weights.find_weights(store, record)
    for run_id, path in paths.items():
        with locks.lock(store.folder(profile), run_id):
            store.sweep(profile, run_id)
            record = store.record(profile, run_id)  # of who had it locked until now
            images, source = _data(work, record)
            last = _score(work, path, images)
            env = environment(work.device, work.software)
            env |= {"precision": work.precision, "data": source}
            measured, arrays = task_of(record.run).final(record.run, images, last)
            if ais:
                assert isinstance(last, EpochScore), f"{run_id} has no p(x)"
                measured |= annealed_scores(record.run, images, last.net, ais)
            else:
                kept = {n: v for n, v in record.final.items() if n.startswith(AIS)}
                measured |= kept
                if kept:
                    before = record.scored_env
                    env |= continued(before, work.software)
                    where = {n: before.get(n) for n in ("device", "precision")}
                    env["annealed_on"] = before.get("annealed_on", where)
            store.add(record, recording.finished(env, images), measured, arrays)
            weights.add_statistics(path, record.run, last.seen)


def verify(run_id: str, store: Store, profile: str, options: Options) -> list[Compared]:
    """Score a Run again from its weights and compare with its record; nothing is written.

    Rows of a chunk are those of the record, because they name the draws; not on a CPU where the
    record is of CUDA. Raises DataError, and RecordError where the record is damaged or diverged, or
    the weights are missing or of another Run.
    """
    work, record = Work(store, profile, options), store.record(profile, run_id)
    record.verify()
    path = weights.find_weights(store, record)
    images, _ = _data(work, record)
    env = record.scored_env
    if work.device.type != "cpu" or on_cpu(env):  # else the draws are others in any chunk
        rows = env.get("scoring_rows", images.room.rows)
        images = replace(images, room=replace(images.room, rows=rows))
    task, last = task_of(record.run), _score(work, path, images)
    again = Again(
        images,
        last,
        *task.final(record.run, images, last),
        same_draws=work.device.type == "cpu" and on_cpu(env),
    )
    return task.compared(record, again)


def _data(work: Work, record: Record) -> tuple[Images, dict[str, Any]]:
    images, source = work.data.images(record.run)
    work.data.refuse_other(record.run, record.env.get("data", {}).get("hash"), record.folder)
    return images, source


def _score(work: Work, path: Path, images: Images) -> Score:
    run, params = weights.load_weights(path)
    own = {n: p.to(work.device) for n, p in params.items()}
    last = task_of(run).score(Stack((run,)), own, 0, images, run.schedule.epochs)
    if not last.finite:
        raise RecordError(f"{path}: weights that give no finite numbers: {tensors.REMEDY}")
    return last
