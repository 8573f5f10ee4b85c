"""A step timed beside that of another checkout: what is saved, and that the report reads it."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from repro.show import rates
from repro.show.report import measured
from repro.store.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
against: Any = importlib.import_module("against")
PLACE = {"device": "a CPU", "commit": "1" * 40, "dirty": False, "versions": {"torch": "2.13.0"}}


def test_a_ratio_is_the_median_of_the_ratios_of_single_turns(tmp_path: Path) -> None:
    ours, theirs = [10.0, 12.0, 20.0], [20.0, 20.0, 10.0]
    arms = [against.entry(4, 2, ours, theirs)]
    saved = tmp_path / "against.json"
    saved.write_text(json.dumps(against.record(PLACE, "2" * 40, 3, arms)))
    bench = measured.bench_of(rates.read(saved), saved, tmp_path)
    assert (bench.said["torch"], bench.said["reference"]) == ("2.13.0", "commit 2222222")
    (row,) = bench.table.rows
    shown = dict(zip(bench.table.columns, row, strict=True))
    numbers = (shown["ms"], shown["× commit 2222222"], shown["images/s"])
    assert numbers == ("12.0", "0.600", f"{4 * 256 / 0.012:,.0f}")


def test_a_record_says_where_the_precisions_differ() -> None:
    alike, rounded = (against.record(PLACE, "2" * 40, 3, [], p) for p in ("float32", "bfloat16"))
    assert (alike["precision"], alike["reference"]) == ("float32", "commit 2222222")
    assert rounded["precision"] == "bfloat16"
    assert rounded["method"].endswith("commit 2222222 in float32.")


def test_both_checkouts_take_turns_and_the_first_is_dropped(monkeypatch, tmp_path):
    script = (
        "import sys\nassert sys.argv[1:] == ['--work', '1', '1', {!r}]\n"
        "print('ready', flush=True)\nfor i, _ in enumerate(open(0)): print({} + i, flush=True)"
    )
    one, two = tmp_path / "one", tmp_path / "two"
    for place, *case in ((one, "bfloat16", 0), (two, "float32", 100)):
        place.mkdir()
        (place / "work.py").write_text(script.format(*case))
    monkeypatch.setattr(against, "__file__", "work.py")
    assert against.turns((one, two), 1, 1, 2, "bfloat16") == [[1.0, 2.0], [101.0, 102.0]]


def test_one_turn_shows_no_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["against.py", ".", "--repeats", "1"])
    with pytest.raises(SystemExit, match="2"):
        against.main()


def test_a_checkout_that_fails_ends_the_comparison(monkeypatch, tmp_path):
    (tmp_path / "work.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(against, "__file__", "work.py")
    with pytest.raises(SystemExit, match="a checkout's step failed"):
        against.turns((tmp_path, tmp_path), 1, 1, 2)
