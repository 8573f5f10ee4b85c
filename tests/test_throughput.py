"""The throughput figure draws what a saved benchmark holds."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from fixture_bench import saved_bench, step_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from repro.bench.arms import SINGLE
from repro.errors import RecordError
from repro.show import rates, style
from repro.show.report.measured import read
from repro.store.places import ROOT


def drawn(bench: dict[str, Any]) -> Figure:
    """The figure, whose drawing leaves the caller's settings alone."""
    before = dict(matplotlib.rcParams)
    figure = rates.draw(bench)
    assert dict(matplotlib.rcParams) == before
    return figure


def points(figure: Figure, gid: str) -> list[tuple[float, float]]:
    (line,) = [line for ax in figure.axes for line in ax.lines if line.get_gid() == gid]
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def caption_of(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def test_curves_are_steps_of_equal_lanes_products_alone_the_limit_the_single_model_a_level():
    bench = saved_bench()
    ladders = {"arm": "ladder eager K=2", "lanes": 2, "model": "ladder"}
    figure = drawn({**bench, "arms": [*bench["arms"], {**bench["arms"][2], **ladders}]})
    for engine in ("eager", "compiled"):
        steps = [(K, step_of(bench, f"{engine} K={K}")["model_steps_per_s"]) for K in (1, 4)]
        assert points(figure, engine) == steps
    assert points(figure, "limit") == [(1, 50.0), (4, 50.0)]
    (level,) = [line for line in figure.axes[0].lines if line.get_label() == SINGLE]
    assert list(level.get_ydata()) == [10.0, 10.0]
    assert len(figure.axes) == 1, "no roofline is known"
    caption = caption_of(figure)
    assert "Abacus 3000, 2 cores, 2 threads, torch 2.13.0, 2026-02-03" in caption
    assert "Not measured: cuda (no CUDA device)." in caption
    del bench["repeats"]
    bare = drawn({**bench, "matmul": {}, "threads": None, "method": "Means of 2.5 s."})
    assert "limit" not in {line.get_gid() for line in bare.axes[0].lines}
    assert "cores, torch 2.13.0, 2026-02-03. Means of 2.5 s." in caption_of(bare)


def test_the_share_of_the_roofline_is_drawn_beside_where_it_is_known() -> None:
    bench = saved_bench()
    shares = {"compiled K=1": 0.1, "compiled K=4": 0.4, "eager K=1": 0.05}
    for entry in bench["arms"]:
        if entry["arm"] in shares:
            entry["roofline"] = {"fraction": shares[entry["arm"]]}
    figure = drawn({**bench, "roofline": "roofline: bound = what was counted"})
    assert points(figure, "compiled roofline") == [(1, 10.0), (4, 40.0)]
    drawn_beside = {line.get_gid() for line in figure.axes[1].lines}
    assert drawn_beside == {"compiled roofline", "eager roofline"}
    assert "roofline: bound = what was counted." in caption_of(figure)


def test_a_benchmark_without_numbers_says_so_and_one_width_is_no_curve() -> None:
    bench = saved_bench()
    absent = [{"arm": "cuda", "absent": "no CUDA device"}]
    (text,) = drawn({**bench, "arms": absent, "matmul": {}}).axes[0].texts
    assert text.get_text() == "not measured"
    assert rates.has_curve(bench)
    few = [e for e in bench["arms"] if e.get("lanes", 1) == 1 or "operations" not in e]
    assert not rates.has_curve({**bench, "arms": few})


@pytest.mark.parametrize("value", [None, 0, "x", []])
def test_a_benchmark_whose_products_took_no_time_is_a_record_error(tmp_path: Path, value) -> None:
    bench, saved = saved_bench(), tmp_path / "bench.json"
    for alone in bench["matmul"].values():
        alone["step"]["seconds"] = value
    saved.write_text(json.dumps(bench))
    with pytest.raises(RecordError, match=r"bench\.json: no benchmark "), read(saved) as held:
        rates.draw(held)


def test_a_benchmark_without_speeds_or_lanes_is_a_record_error(tmp_path: Path) -> None:
    bench, saved = saved_bench(), tmp_path / "bench.json"
    del step_of(bench, SINGLE)["model_steps_per_s"]
    saved.write_text(json.dumps(bench))
    with pytest.raises(RecordError, match=r"no benchmark .*model_steps_per_s"), read(saved) as held:
        rates.draw(held)
    del next(e for e in bench["arms"] if e["arm"] == "eager K=4")["lanes"]
    saved.write_text(json.dumps(bench))
    with pytest.raises(RecordError, match=r"no benchmark .*lanes"), read(saved) as held:
        rates.has_curve(held)


def test_the_script_writes_both_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, out = tmp_path / "bench.json", tmp_path / "out"
    saved.write_text(json.dumps(saved_bench()))
    monkeypatch.setattr(sys, "argv", ["rates", str(saved), "--out", str(out)])
    assert rates.main() == 0
    assert sorted(p.name for p in out.iterdir()) == ["throughput.pdf", "throughput.png"]


def test_the_caption_lies_inside_the_figure() -> None:
    with read(ROOT / "results" / "bench" / "h100.json") as bench:
        figure = drawn(bench)
    with style.looks():
        FigureCanvasAgg(figure).draw()
    (caption,) = [t for t in figure.findobj(Text) if t.get_text() == figure.get_supxlabel()]
    assert figure.bbox.x0 <= caption.get_window_extent().x0
    assert caption.get_window_extent().x1 <= figure.bbox.x1
