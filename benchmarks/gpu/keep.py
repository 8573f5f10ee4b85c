"""What a drill brings back: weights of what is done, a checkpoint of what is not, and of a Run
that diverged the last checkpoint before it did, which the engine itself does not keep.
"""

import dataclasses
import json
import subprocess
import time

import torch
from arm import HOME

from repro.errors import ReproError
from repro.machine.saved import checkpoint
from repro.machine.saved.tensors import metadata
from repro.machine.saved.weights import publish_weights
from repro.model.stack import Stack
from repro.store import Store
from repro.store.files import write_file
from repro.store.places import NAMED

KEPT, SECONDS = HOME / "kept", 5  # b.sh has a checkpoint saved every 30 s
PART, LARGEST = "15M", 28e6  # bytes of a checkpoint that is brought back


def watch():
    """Copies every new checkpoint; one a stack for each number of lanes that have not diverged."""
    seen = {}
    while True:
        for path in Store(NAMED["runs"]).root.glob("*/.checkpoints/*.safetensors"):
            try:
                if seen.get(path) != (seen_now := path.stat().st_mtime_ns):
                    keep(path)
                    seen[path] = seen_now
            except (OSError, ReproError):
                continue  # unlinked or replaced just now
        time.sleep(SECONDS)


def keep(path):
    content = path.read_bytes()
    KEPT.mkdir(parents=True, exist_ok=True)
    own = KEPT / f"{path.parts[-3]}-{path.name}"
    write_file(own, content)
    sound = sum(at is None for at in diverged(own))
    own.replace(own.with_name(f"{path.parts[-3]}-{path.stem}-{sound}.safetensors"))


def diverged(path):
    """The epoch in which each lane of a checkpoint diverged, or None."""
    return [lane["diverged_at"] for lane in json.loads(metadata(path)["checkpoint"])["lanes"]]


def collect(out):
    """Weights without Adam's moments, and one lane of one checkpoint of each kind."""
    store, slim = Store(NAMED["runs"]), Store(HOME / "slim")
    kept = [r for p in store.root.glob("*") for r in store.records(p.name)]
    shown = [r for r in kept if not (r.diverged or r.run.labels or r.profile == "reduced")]
    for record in sorted(shown, key=lambda r: r.run.seed)[:3]:
        path = publish_weights(store, slim, record)
        place = HOME / "weights" / "runs" / record.profile / ".weights"
        place.mkdir(parents=True, exist_ok=True)
        path.replace(place / path.name)
    if shown:
        whole = HOME / "weights.tar"
        subprocess.run(["tar", "cf", whole, "-C", HOME / "weights", "runs"], check=True)
        if whole.stat().st_size < 31e6:
            parts(whole, out / "weights.tar.part-")
    for path in sorted(store.root.glob("*/.checkpoints/*.safetensors")):
        if lane_out(path, 0, out, f"ckpt-{path.parts[-3]}-"):
            break
    before_divergence([r for r in kept if r.diverged], out)


def before_divergence(records, out):
    """The last checkpoint from before, of the first Run that has one; a line for each Run."""
    returned = False
    for record in sorted(records, key=lambda r: r.run.seed):
        found = last_sound(record)
        if not found:
            print(f"{record.run.id} diverged; no checkpoint from before was kept")
            continue
        path, lane = found
        epoch = json.loads(metadata(path)["checkpoint"])["log"]["epoch"]
        if not returned:
            returned = lane_out(path, lane, out, f"before-divergence-{record.profile}-")
        print(f"{record.run.id} diverged; kept from epoch {epoch}: {path}")


def last_sound(record):
    """The newest kept checkpoint in which the Run had not diverged, and its lane there."""
    for path in sorted(KEPT.glob(f"{record.profile}-*"), key=lambda p: -p.stat().st_mtime):
        runs = checkpoint.load_header(path)[0]
        if record.run in runs:
            lane = runs.index(record.run)
            if diverged(path)[lane] is None:
                return path, lane
    return None


def lane_out(path, k, out, name):
    """One lane of a checkpoint in parts, as a checkpoint of that Run alone; False: too large."""
    runs, pinned = checkpoint.load_header(path)
    stack, alone = Stack(tuple(runs)), Stack((runs[k],))
    state, log = checkpoint.load_checkpoint(path, torch.device("cpu"))
    own = checkpoint.lanes_of(stack, state, slice(k, k + 1))
    target = checkpoint.path_of(HOME / "lanes", alone)
    target.parent.mkdir(parents=True, exist_ok=True)
    log = dataclasses.replace(log, lanes=[log.lanes[k]])
    checkpoint.save_checkpoint(target, alone, own, log, pinned)
    if target.stat().st_size > LARGEST:
        return False
    parts(target, out / f"{name}{target.stem}.part-")
    return True


def parts(path, stem):
    subprocess.run(["split", "-b", PART, path, stem], check=True)
