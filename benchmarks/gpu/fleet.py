"""Call A: arms compile side by side, are timed one after the other, and the fastest is chosen."""

import contextlib
import datetime
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from arm import ARMS, DEVICE, HOME, TINY

from repro.machine.commit import commit
from repro.store.places import ROOT

QUICK = ("float32", "captured", "captured1", "ladder-captured")
DRY = ("eager", "captured1")  # what a CPU of few, busy cores ends in time


def chosen(quick):
    """DRILL_ARMS=NAME,NAME names the arms; otherwise all, or few."""
    named = [n for n in os.environ.get("DRILL_ARMS", "").split(",") if n]
    if unknown := [n for n in named if n not in ARMS]:
        sys.exit(f"DRILL_ARMS: no arm {unknown[0]}: choose from {', '.join(ARMS)}")
    return named or list(QUICK if quick else DRY if TINY else ARMS)


class Child:
    """A process that measures an arm; what it says arrives in a queue."""

    def __init__(self, name, out, nice):
        self.name, self.said, self.alive = name, queue.Queue(), True
        self.log = (out / f"arm-{name}.log").open("w")
        command = [sys.executable, str(Path(__file__).with_name("arm.py")), name]
        self.p = subprocess.Popen(
            ["nice", "-n", str(nice), *command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.p.stdout:
            if line.startswith("@"):
                self.said.put(json.loads(line[1:]))
        self.said.put({"failed": True})

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.p.pid, number)

    def ask(self, line, entry, seconds):
        """What it answers goes into its entry; one that failed or is late is ended."""
        try:
            if line:
                self.p.stdin.write(line + "\n")
                self.p.stdin.flush()
            entry.update(self.said.get(timeout=max(0.1, seconds)))
        except (queue.Empty, OSError):
            entry["late"] = line or "compiling"
        if "failed" in entry or "late" in entry:
            self.alive = False
            self.signal(signal.SIGKILL)
        return self.alive


def arms(seconds, out, names):
    start = time.monotonic()

    def left():
        return seconds - (time.monotonic() - start)

    logs = HOME / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for old in HOME.glob("*.pt"):
        old.unlink()
    on = torch.cuda.get_device_name(0) if DEVICE == "cuda" else DEVICE
    head, dirty = commit(ROOT)
    found = {
        "device": on, "torch": torch.__version__, "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": head, "dirty": dirty, "arms": {},
    }  # fmt: skip
    for n in names:
        keys = ("model", "stack" if n.startswith("grid") else "lanes", "engine")
        found["arms"][n] = dict(zip(keys, ARMS[n], strict=True))
    children = {n: Child(n, logs, 15 if n.startswith(("grid", "compiled")) else 0) for n in names}
    chief = [c for n, c in children.items() if not n.startswith("grid")]
    (HOME / "pids").write_text(" ".join(str(c.p.pid) for c in children.values()))
    signal.signal(signal.SIGTERM, lambda *a: sys.exit("told to stop"))  # the arms end below

    def save():
        found["choice"] = choice(found)
        for path in (HOME / "best.json", out / "best.json"):
            path.with_suffix(".tmp").write_text(json.dumps(found, indent=1) + "\n")
            path.with_suffix(".tmp").replace(path)

    def ready(those, until):
        """Wait for who compiles; eager and captured arms are timed roughly at once."""
        for child in those:
            entry = found["arms"][child.name]
            if child.ask("", entry, left() - until) and child.name in QUICK[1:]:
                child.ask("time", entry, min(15, left() - until))
            save()

    def timed(those):
        for child in those:
            if child.alive and left() > 4:
                child.ask("time", found["arms"][child.name], min(12, left() - 3))
                save()

    try:
        ready(chief, 0.3 * seconds if len(names) > 4 else 5)
        while not (HOME / "pytest.done").exists() and left() > 0.25 * seconds:
            time.sleep(0.5)
        grids = [c for c in children.values() if c not in chief]
        for child in grids:  # they compile on, but not while others are timed
            child.signal(signal.SIGSTOP)
        timed(chief)
        best = children.get(found["choice"]["arm"])
        if best and best.alive and left() > 10:
            best.ask("limits", found, 10)
            best.ask(
                f"profile {out / 'profile.csv'}", found["arms"][best.name], min(20, left() - 3)
            )
            save()
        for child in grids:
            child.signal(signal.SIGCONT)
        for child in chief:
            child.signal(signal.SIGKILL)
        ready(grids, 8)
        timed(grids)
    finally:
        save()
        for child in children.values():
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGKILL)
        said = (f"== {n}\n{(logs / f'arm-{n}.log').read_text()[-6000:]}\n" for n in names)
        (out / "arms.log").write_text("".join(said))


def choice(found):
    """The fastest arm that the project's own engines offer, is sane, and what it would gain."""
    known = found["arms"]
    rounding = known.get("eager", {}).get("bound_error_float32", 0.0)  # what TF32 alone does

    def sane(e):
        wrong = e.get("bound_error_float32", 0.0) > max(4e-3, 4 * rounding)
        return "ms" in e and e["finite"] and not wrong and e.get("way_error_float32", 0.0) < 1.2

    def fastest(model, lanes):
        fits = [n for n, e in known.items() if n != "float32" and sane(e)
                and (e["model"], e.get("lanes")) == (model, lanes)]  # fmt: skip
        return min(fits, key=lambda n: known[n]["ms"], default=None)

    name = fastest("lvae", 3) or fastest("lvae", 1)
    ladder = fastest("ladder", 10)
    engine = known[name]["engine"] if name else "captured"
    ms = {}
    for k in (1, 3):
        same = [e["ms"] for n, e in known.items() if ARMS[n] == ("lvae", k, engine)
                and n != "float32" and sane(e)]  # fmt: skip
        ms[f"lvae K={k}"] = min(same, default=None)
    grid = [e["ms"] for e in known.values() if e["model"] == "grid" and "ms" in e]
    if ladder:
        ms["ladder K=10"] = known[ladder]["ms"]
    if len(grid) == 3:
        ms["grid of 19, one stack after the other"] = round(sum(grid), 4)
    picked = {"arm": name, "engine": engine, "ms": ms,
              "compile_seconds": known[name].get("first_block_seconds") if name else None,
              "ladder_engine": known[ladder]["engine"] if ladder else "captured"}  # fmt: skip
    if name and "flop_per_s" in found:
        e = known[name]
        least = 1e3 * max(e["flops"] / found["flop_per_s"], e["bytes"] / found["bytes_per_s"])
        picked |= {"roofline_ms": round(least, 4), "share_of_roofline": round(least / e["ms"], 3)}
    return picked
