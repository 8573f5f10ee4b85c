"""How often a checkpoint is saved: as suits the device, or as told."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from repro.machine.saved import keeper
from repro.machine.saved.checkpoint import Pinned
from repro.train.log import Log


@pytest.mark.parametrize(
    ("where", "seconds", "saved"),
    [
        ("cpu", None, [40, 80, 120, 160, 200, 240, 280, 320, 360, 400]),
        ("cuda", None, [320]),
        ("cuda", 90.0, [100, 200, 300, 400]),
        ("cpu", 0.0, list(range(20, 401, 20))),
    ],
)
def test_checkpoints_are_saved_as_often_as_suits_the_device_or_as_told(
    where: str, seconds: float | None, saved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, found = MagicMock(), []
    monkeypatch.setattr(keeper, "time", clock)
    monkeypatch.setattr(
        keeper.checkpoint, "save_checkpoint", lambda *_: found.append(clock.monotonic.return_value)
    )
    clock.monotonic.return_value = 0
    parts: list[Any] = [MagicMock(), MagicMock(), Log([]), Pinned("eager", 1, where), Path("none")]
    kept = keeper.Keeper(*parts, MagicMock(), MagicMock(), seconds)
    for now in range(20, 401, 20):  # a block every 20 seconds
        clock.monotonic.return_value = now
        kept.after_block()
    assert found == saved
