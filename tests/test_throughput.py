"""The throughput figure draws what a saved benchmark holds."""

import importlib
import json
import subprocess
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
from repro.store.places import ROOT

throughput: Any = importlib.import_module("repro.show.rates")
style: Any = importlib.import_module("repro.show.style")
FILE = Path("bench.json")


def points(figure: Figure, gid: str) -> list[tuple[float, float]]:
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == gid]
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_curve_is_the_measured_steps_of_equal_lanes(engine: str) -> None:
    bench = saved_bench()
    expected = [(K, step_of(bench, f"{engine} K={K}")["model_steps_per_s"]) for K in (1, 4)]
    assert points(throughput.draw(bench, FILE), engine) == expected


def test_ladder_networks_are_no_point_of_the_lvae_s_curve() -> None:
    bench = saved_bench()
    of_ladder = {"arm": "ladder eager K=2", "lanes": 2, "model": "ladder"}
    with_it = {**bench, "arms": [*bench["arms"], {**bench["arms"][2], **of_ladder}]}
    with_ladder, without = (points(throughput.draw(b, FILE), "eager") for b in (with_it, bench))
    assert with_ladder == without


def test_the_products_alone_are_the_limit_and_the_single_model_a_level_line() -> None:
    figure = throughput.draw(saved_bench(), FILE)
    assert points(figure, "limit") == [(1, 50.0), (4, 50.0)]
    (level,) = [line for line in figure.axes[0].lines if line.get_label() == SINGLE]
    assert list(level.get_ydata()) == [10.0, 10.0]
    assert len(figure.axes) == 1, "no roofline is known"


def test_the_caption_names_device_date_and_what_is_missing() -> None:
    caption = " ".join(throughput.draw(saved_bench(), FILE).get_supxlabel().split())
    assert "Abacus 3000, 2 cores, 2 threads, torch 2.13.0, 2026-02-03" in caption
    assert "Not measured: cuda (no CUDA device)." in caption


def test_a_benchmark_without_numbers_says_so() -> None:
    bench = {**saved_bench(), "arms": [{"arm": "cuda", "absent": "no CUDA device"}], "matmul": {}}
    (text,) = throughput.draw(bench, FILE).axes[0].texts
    assert text.get_text() == "not measured"


def test_drawing_leaves_the_callers_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    throughput.draw(saved_bench(), FILE)
    assert dict(matplotlib.rcParams) == before


def test_the_script_draws_without_torch(tmp_path: Path) -> None:
    saved = tmp_path / "bench.json"
    saved.write_text(json.dumps(saved_bench()))
    script = "import sys; from repro.show import rates; rates.main(); print('torch' in sys.modules)"
    command = [sys.executable, "-c", script, str(saved), "--out", str(tmp_path / "out")]
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["throughput.pdf", "throughput.png"]
    assert done.stdout.endswith("False\n"), done.stderr


def test_a_benchmark_without_speeds_is_a_record_error() -> None:
    bench = saved_bench()
    del step_of(bench, SINGLE)["model_steps_per_s"]
    with pytest.raises(RecordError, match=r"bench\.json: lacks 'model_steps_per_s'"):
        throughput.draw(bench, FILE)
    del next(e for e in bench["arms"] if e["arm"] == "eager K=4")["lanes"]
    with pytest.raises(RecordError, match=r"bench\.json: lacks 'lanes'"):
        throughput.has_curve(bench, FILE)


def test_the_share_of_the_roofline_is_drawn_beside_where_it_is_known() -> None:
    bench = saved_bench()
    shares = {"compiled K=1": 0.1, "compiled K=4": 0.4, "eager K=1": 0.05}
    for entry in bench["arms"]:
        if entry["arm"] in shares:
            entry["roofline"] = {"fraction": shares[entry["arm"]]}
    figure = throughput.draw({**bench, "roofline": "roofline: bound = what was counted"}, FILE)
    lines = {line.get_gid(): line for line in figure.axes[1].lines}
    assert [list(v) for v in lines["compiled roofline"].get_data()] == [[1, 4], [10.0, 40.0]]
    assert set(lines) == {"compiled roofline", "eager roofline"}
    assert "roofline: bound = what was counted." in " ".join(figure.get_supxlabel().split())


def test_the_caption_lies_inside_the_figure() -> None:
    figure = throughput.draw(throughput.read(ROOT / "results" / "bench" / "h100.json"), FILE)
    with style.looks():
        FigureCanvasAgg(figure).draw()
    (caption,) = [t for t in figure.findobj(Text) if t.get_text() == figure.get_supxlabel()]
    assert figure.bbox.x0 <= caption.get_window_extent().x0
    assert caption.get_window_extent().x1 <= figure.bbox.x1


def test_where_products_alone_and_repeats_were_not_measured_neither_is_drawn_nor_named() -> None:
    bench = {**saved_bench(), "matmul": {}, "threads": None, "method": "Means of 2.5 s."}
    del bench["repeats"]
    figure = throughput.draw(bench, FILE)
    assert "limit" not in {line.get_gid() for line in figure.axes[0].lines}
    caption = " ".join(figure.get_supxlabel().split())
    assert "cores, torch 2.13.0, 2026-02-03. Means of 2.5 s." in caption


def test_one_width_is_no_curve() -> None:
    bench = saved_bench()
    assert throughput.has_curve(bench, FILE)
    few = [e for e in bench["arms"] if e.get("lanes", 1) == 1 or "operations" not in e]
    assert not throughput.has_curve({**bench, "arms": few}, FILE)
