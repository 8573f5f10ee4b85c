"""Scripts of `benchmarks/`: a step beside another checkout's, rounded products beside float32."""

import importlib
import json
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fixture_store
import pytest
import small
import torch
from fixture_report import written

from repro.errors import RecordError, UsageError
from repro.plan.profiles import find_run, profile
from repro.plan.run import Data, Run
from repro.show.report import measured
from repro.store import Store
from repro.store.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
against: Any = importlib.import_module("against")
precision: Any = importlib.import_module("precision")

# A step beside that of another checkout

PLACE = {"device": "a CPU", "commit": "1" * 40, "dirty": False, "versions": {"torch": "2.13.0"}}


def test_a_ratio_is_the_median_of_the_ratios_of_single_turns(tmp_path: Path) -> None:
    arms = [against.entry(4, 2, [10.0, 12.0, 20.0], [20.0, 20.0, 10.0])]
    saved = tmp_path / "against.json"
    saved.write_text(json.dumps(against.record(PLACE, "2" * 40, 3, arms)))
    with measured.read(saved) as held:
        bench = measured.bench_of(held, saved.name)
    assert (bench.said["torch"], bench.said["reference"]) == ("2.13.0", "commit 2222222")
    shown = dict(zip(bench.table.columns, bench.table.rows[0], strict=True))
    numbers = (shown["ms"], shown["× commit 2222222"], shown["images/s"])
    assert numbers == ("12.0", "0.600", f"{4 * 256 / 0.012:,.0f}")
    assert bench.said["precision"] == "float32"
    rounded = against.record(PLACE, "2" * 40, 3, [], "bfloat16")
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


def test_one_turn_or_a_checkout_that_fails_ends_the_comparison(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["against.py", ".", "--repeats", "1"])
    with pytest.raises(SystemExit, match="2"):
        against.main()
    (tmp_path / "work.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(against, "__file__", "work.py")
    with pytest.raises(SystemExit, match="a checkout's step failed"):
        against.turns((tmp_path, tmp_path), 1, 1, 2)


# Rounded products beside float32: paired by seed, beside rounding alone

FLOAT32 = [-90.3, -91.1, -89.7]


def difference(rounded: list[float], again: list[float]) -> Any:
    values = dict(zip(precision.TRAININGS, (rounded, FLOAT32, again), strict=True))
    return precision.difference("vae", "L1_test", values)


def test_a_difference_is_the_mean_over_pairs_beside_rounding_alone() -> None:
    d = difference([-90.0, -91.0, -89.5], again=[-90.2, -91.3, -89.7])
    assert d.mean == pytest.approx(0.2)
    assert d.error == pytest.approx(0.1 / 3**0.5)
    assert d.rounding == pytest.approx(((0.01 + 0.04 + 0) / 3 / 2) ** 0.5)
    assert d.seeds == pytest.approx(0.70238, rel=1e-4)


@pytest.mark.parametrize(("shift", "inside"), [(0.15, True), (-0.15, True), (0.25, False)])
def test_a_shift_beyond_the_spread_of_rounding_is_outside(shift: float, inside: bool) -> None:
    d = difference(*([x + by for x in FLOAT32] for by in (shift, 0.17)))
    assert d.inside is inside
    assert ("OUTSIDE" in str(d)) is not inside


def test_records_are_compared_seed_by_seed(tmp_path: Path) -> None:
    for training, bounds in zip(precision.TRAININGS, ((-1, -2), (-3, -5), (-4, -7)), strict=True):
        for variant in precision.VARIANTS:
            for run, at in zip(precision.runs_of(variant, "quick", 2), bounds, strict=True):
                assert run == find_run(run.id, profile("quick"))
                changed = dict.fromkeys(precision.METRICS, float(at))
                fixture_store.write(Store(tmp_path / training), "quick", run, **changed)
    found = precision.compared(tmp_path, "quick", 2)
    assert len(found) == len(precision.VARIANTS) * len(precision.METRICS)
    assert {(d.mean, round(d.rounding**2, 9)) for d in found} == {(2.5, (1 + 4) / 2 / 2)}


def test_all_three_trainings_are_made_and_their_record_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("repro.data.load", small.raw)
    monkeypatch.setattr("repro.model.layers.SMALL", 0)

    def tiny(variant: str, _: str, seeds: int) -> list[Run]:
        family = variant.partition("_")[0]
        return [small.run(family, 1, seed, epochs=1, steps=2) for seed in range(1, seeds + 1)]

    monkeypatch.setattr(precision, "runs_of", tiny)
    threads: list[int] = []  # asked for; two would wait for each other in products this small
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    arguments = ["precision", "--profile", "smoke", "--seeds", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--variants", "vae"])
    assert precision.main() == 0
    assert not (tmp_path / "precision.json").exists(), "half of the comparison"
    assert capsys.readouterr().out.count("rounded - float32") == 3
    monkeypatch.setattr(sys, "argv", arguments)
    assert precision.main() == 0
    assert set(threads) == {1, 2}, "the same sums in another order"
    content = json.loads((tmp_path / "precision.json").read_text())
    assert (content["rounded"], content["profile"]) == ("bfloat16", "smoke")
    shutil.copytree(tmp_path, tmp_path / "bench", ignore=lambda *_: precision.TRAININGS)
    (read,) = measured.comparisons(Store(tmp_path))
    assert len(read.table.rows) == 6
    assert len(content["differences"]) == capsys.readouterr().out.count("rounded - float32") == 6
    assert all(d["mean"] != 0 for d in content["differences"])
    counts = {training: len(runs) for training, runs in content["commits"].items()}
    assert counts == dict.fromkeys(precision.TRAININGS, 4)


def test_float32_records_of_a_store_are_taken_over_and_no_others(tmp_path: Path) -> None:
    one, two = precision.runs_of("vae", "quick", 2)
    known, place = Store(tmp_path / "known"), Store(tmp_path / "out" / precision.FLOAT32)
    fixture_store.write(known, "quick", one)
    precision.adopt(known.root, tmp_path / "out", [one, two], "quick")
    assert [place.has("quick", run.id) for run in (one, two)] == [True, False]
    assert place.record("quick", one.id).final == known.record("quick", one.id).final
    other = replace(two, data=Data(test_seed=5))
    fixture_store.write(known, "quick", other)
    precision.adopt(known.root, tmp_path / "out", [two], "quick")
    assert not place.has("quick", two.id), "its configuration is another"
    fixture_store.write(known, "quick", two, env={"precision": "bfloat16"})
    with pytest.raises(UsageError, match="trained in bfloat16: leave --known out"):
        precision.adopt(known.root, tmp_path / "out", [two], "quick")


# On the report's page

WHERE = {"device": "a CPU", "torch": "2", "commit": "0123456789abcdef", "rounded": "bfloat16"}


def saved(store: Store, content: str) -> None:
    """What stands where `benchmarks/precision.py` saves a comparison."""
    (store.root / "bench").mkdir(parents=True, exist_ok=True)
    (store.root / "bench" / "precision.json").write_text(content)


def test_differences_stand_beside_the_spread_of_rounding(store: Store) -> None:
    """-0.1 and -0.3, floor 0.05."""
    values = {"rounded": [-90.1, -91.3], "float32": [-90.0, -91.0], "float32 again": [-89.9, -91.0]}
    found = [precision.difference("vae", name, values) for name in precision.METRICS]
    differences = [{**asdict(d), "inside": d.inside} for d in found]
    content = {**WHERE, "emulated": True, "profile": "quick", "differences": differences}
    saved(store, json.dumps(content))
    fixture_store.write(store, "quick", find_run("mnist-vae-L5-s1", profile("quick")))
    section = written(store).within("throughput")
    assert measured.benches(store) == []
    assert "bfloat16 less float32" in section.source
    assert "they were emulated" in section.source
    rows = [r for r in section.all("tr") if r.text.startswith("VAE")]
    assert len(rows) == len(precision.METRICS)
    assert all(number in rows[0].text for number in ("−0.200", "0.100", "0.050", "0.707"))
    assert rows[0].text.endswith("inside")


def test_what_is_no_comparison_is_refused(store: Store) -> None:
    for content in ("", "[]", "{}", '{"differences": [{"variant": "x"}]}'):
        saved(store, content)
        with pytest.raises(RecordError, match=r"precision\.json: no comparison of precisions"):
            measured.comparisons(store)
