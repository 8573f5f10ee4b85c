"""Final weights: one safetensors file a Run, for scoring again, fine-tuning and users.

Beside the parameters of one lane it holds Adam's moments, with which a Run that starts there goes
on, and the batch-norm statistics that the Run was scored with.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from repro.errors import RecordError, UsageError
from repro.machine.saved.tensors import REMEDY, metadata, read, write
from repro.model.layers import Moments, Params
from repro.plan.layers import layers
from repro.plan.run import Ladder, Run, from_dict, saved
from repro.store import Record, Store

Statistics = dict[str, Moments]  # by the name of the layer that they normalise
MOST_PUBLISHED, LARGEST_PUBLISHED = 4, 8_000_000  # models, bytes of one
ADAM, SEEN = "adam/", "seen/"  # before the names of what is no parameter


def weights_path(folder: Path, run: Run) -> Path:
    """Where training leaves them in the folder of a profile; never published from there."""
    return folder / ".weights" / f"{run.id}.safetensors"


def published_path(store: Store, profile: str, run_id: str) -> Path:
    """Where a store shows the weights of a few Runs."""
    return store.root / "weights" / profile / f"{run_id}.safetensors"


def refuse_publishing(source: Store, target: Store, records: Sequence[Record]) -> None:
    """Raises RecordError where one has no weights, with statistics, where it was trained.

    And UsageError where there would be more than MOST_PUBLISHED files, or one of more than
    LARGEST_PUBLISHED bytes.
    """
    shown = set(target.root.glob("weights/*/*.safetensors"))
    more = {published_path(target, r.profile, r.run.id) for r in records} - shown
    if more and len(shown | more) > MOST_PUBLISHED:
        raise UsageError(
            f"{target.root / 'weights'}: holds {len(shown)} models, and with {len(more)} more there"
            f" would be over {MOST_PUBLISHED}: remove one first, or name fewer"
        )
    for record in records:
        if record.run.labels:
            raise UsageError(
                f"{record.run.id}: a Ladder network, of which there is no model card: leave it out"
            )
        size = 4 * sum(p.numel() for p in _shown(source, record).values())
        if size > LARGEST_PUBLISHED:
            raise UsageError(
                f"{record.run.id}: {size / 1e6:.1f} MB of weights, at most"
                f" {LARGEST_PUBLISHED / 1e6:.0f} are published: leave this model out"
            )


def publish_weights(source: Store, target: Store, record: Record) -> Path:
    """Copy what users of a model need into a store that is shown: parameters and statistics."""
    path = published_path(target, record.profile, record.run.id)
    save_weights(path, record.run, _shown(source, record))
    return path


def _shown(source: Store, record: Record) -> Params:
    """Parameters and statistics as a file names them, without Adam's moments."""
    path = find_weights(source, record)
    _, params = load_weights(path)
    return {**params, **_named(load_statistics(path, record.run))}


def find_weights(store: Store, record: Record) -> Path:
    """The file with the weights of this very Run. Raises RecordError."""
    profile, run = record.profile, record.run
    if record.diverged:
        raise RecordError(f"{record.folder}: diverged, so it has no weights: choose another Run")
    own = weights_path(store.folder(profile), run)
    path = own if own.is_file() else published_path(store, profile, run.id)
    if not path.is_file():
        raise RecordError(
            f"{own}: no weights of {run.id}, nor in {store.root / 'weights'}; they stay in the"
            " runs/ where a Run was trained: name that store; or move its record out of runs/, and"
            f" `repro train {run.id} --profile {profile}` makes them there"
        )
    if _run(path, metadata(path)).hash != run.hash:
        raise RecordError(f"{path}: weights of another configuration of {run.id}: {REMEDY}")
    return path


def save_weights(
    path: Path, run: Run, params: Params, adam: Params | None = None, seen: Statistics | None = None
) -> None:
    """Parameters of one lane; of `adam` and `seen` what there is. Raises MachineError."""
    moments = {ADAM + n: p for n, p in (adam or {}).items()}
    write(path, {**params, **moments, **_named(seen or {})}, {"run": json.dumps(saved(run))})


def add_statistics(path: Path, run: Run, seen: Statistics) -> None:
    """Put statistics into a file of weights, in place of older ones. Raises RecordError."""
    kept = {n: p for n, p in read(path)[1].items() if not n.startswith(SEEN)}
    write(path, {**kept, **_named(seen)}, {"run": json.dumps(saved(run))})


def _run(path: Path, strings: dict[str, str]) -> Run:
    """Whose weights they are. Raises RecordError."""
    try:
        raw = json.loads(strings["run"])
    except (KeyError, ValueError, RecursionError) as e:
        raise RecordError(f"{path}: holds no Run: {REMEDY}") from e
    return from_dict(raw, str(path))


def load_weights(path: Path) -> tuple[Run, Params]:
    """A Run and its final parameters, one lane. Raises RecordError."""
    strings, tensors = read(path)
    return _run(path, strings), {n: p for n, p in tensors.items() if not n.startswith((ADAM, SEEN))}


def load_adam(path: Path) -> Params:
    """The moments and count of updates beside final weights. Raises RecordError."""
    tensors = _below(ADAM, path)
    if not tensors:
        raise RecordError(
            f"{path}: holds no Adam moments, which older versions did not save: remove the"
            " Run's record from runs/ to train it again"
        )
    return tensors


def load_statistics(path: Path, run: Run) -> Statistics:
    """The batch-norm statistics beside final weights; none where the Run does not normalise.

    Fields [1, 1, Z], or [1, 1, M_i] of a Ladder network's layers "1".."L". Raises RecordError.
    """
    parts, model = _below(SEEN, path), run.model
    if isinstance(model, Ladder):
        names = [str(i) for i in range(1, model.depth + 1)]
    else:
        names = [d.name for d in layers(model, 1) if d.norm and model.batch_norm]
    if names and not parts:
        raise RecordError(
            f"{path}: holds no batch-norm statistics, which older versions did not save:"
            f" `repro evaluate {run.id}` with its --profile adds them"
        )
    if lacking := [n for n in names if not {f"{n}/mean", f"{n}/var"} <= parts.keys()]:
        again = "move its record away to train it again"
        raise RecordError(f"{path}: holds no statistics of layer {lacking[0]}: {again}")
    return {n: Moments(parts[f"{n}/mean"], parts[f"{n}/var"]) for n in names}


def _below(prefix: str, path: Path) -> Params:
    return {n.removeprefix(prefix): p for n, p in read(path)[1].items() if n.startswith(prefix)}


def _named(seen: Statistics) -> Params:
    return {
        f"{SEEN}{name}/{part}": value
        for name, moments in seen.items()
        for part, value in moments._asdict().items()
    }
