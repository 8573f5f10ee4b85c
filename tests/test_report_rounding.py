"""What rounded products change, on the report's page."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fixture_store
import pytest
from fixture_report import written

from repro.errors import RecordError
from repro.plan.profiles import find_run, profile
from repro.show.report import rounding, throughput
from repro.store import Store
from repro.store.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
precision: Any = importlib.import_module("precision")
WHERE = {"device": "a CPU", "torch": "2", "commit": "0123456789abcdef", "rounded": "bfloat16"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With a comparison as `benchmarks/precision.py` saves it: -0.1 and -0.3, floor 0.05."""
    values = {"rounded": [-90.1, -91.3], "float32": [-90.0, -91.0], "float32 again": [-89.9, -91.0]}
    found = [precision.difference("vae", name, values) for name in precision.METRICS]
    saved = [{**asdict(d), "inside": d.inside} for d in found]
    content = {**WHERE, "emulated": True, "profile": "quick", "differences": saved}
    (tmp_path / "s" / "bench").mkdir(parents=True)
    (tmp_path / "s" / "bench" / "precision.json").write_text(json.dumps(content))
    return Store(tmp_path / "s")


def test_differences_stand_beside_the_spread_of_rounding(store: Store) -> None:
    fixture_store.write(store, "quick", find_run("mnist-vae-L5-s1", profile("quick")))
    section = written(store).within("throughput")
    assert throughput.files(store) == []
    said = section.source
    assert "bfloat16 less float32" in said
    assert "they were emulated" in said
    rows = [r for r in section.all("tr") if r.text.startswith("VAE")]
    assert len(rows) == len(precision.METRICS)
    assert all(number in rows[0].text for number in ("−0.200", "0.100", "0.050", "0.707"))
    assert rows[0].text.endswith("inside")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"differences": [{"variant": "x"}]}'])
def test_what_is_no_comparison_is_refused(store: Store, content: str) -> None:
    (store.root / "bench" / "precision.json").write_text(content)
    with pytest.raises(RecordError, match=r"precision\.json: no comparison of precisions"):
        rounding.read(store)
