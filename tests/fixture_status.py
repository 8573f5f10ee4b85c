"""Statuses as stacks of profile quick would leave them."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from commands import LVAE, VAE

from repro.store import Store, status
from repro.store.status import Status

HERE = status.this_process()
GONE = dataclasses.replace(HERE, began=HERE.began - 1)  # its number was given to another since
ELSEWHERE = dataclasses.replace(HERE, machine="0123456789abcdef")
HALFWAY = Status(
    runs=(LVAE, VAE), process=HERE, engine="compiled", epochs=5, steps=234, doing="training",
    epoch=2, step=78, saved=2.25, note="bound -91.02, L_1 -92.11", last={"L1_test": -92.11},
    images_per_second=1234.5, seconds_left=600.0, written=1000.0,
)  # fmt: skip


def noted(store: Store, name: str = "0123456789abcdef", **changes: Any) -> Path:
    """A stack of profile quick that says of itself what HALFWAY does."""
    told = dataclasses.replace(HALFWAY, **{"written": time.time(), **changes})
    path = store.folder("quick", status.FOLDER) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(told)))
    return path
