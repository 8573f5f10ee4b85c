"""The figure of Ladder networks: what it shows, and what it says of gaps."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
from fixture_figures import bands, caption, legend_labels, line, texts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from repro.plan import profiles
from repro.plan.experiments.ladder import cell
from repro.show.scripts import load as script
from repro.store import Store

VARIANTS = ("full", "bottom", "gamma", "baseline")
ladder: Any = script("figures", "ladder")
ladder_panels: Any = importlib.import_module("repro.show.panels.ladder")  # after style


def store_of(root: Path, *variants: str, profile: str = "paper", seeds: int = 1) -> Store:
    p = profiles.profile(profile)
    runs = [profiles.run_of(cell(v), p, seed) for v in variants for seed in range(1, seeds + 1)]
    return fixture_store.build(root, profile, runs=runs)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    """All four variants, two seeds each."""
    figure: Figure = ladder.draw(
        store_of(tmp_path_factory.mktemp("s"), *VARIANTS, seeds=2), "paper"
    )
    return figure


def test_every_variant_has_a_curve_of_its_error(drawn: Figure) -> None:
    assert {n.get_gid() for n in drawn.axes[0].lines} == set(VARIANTS)


def test_the_error_is_the_mean_over_seeds(tmp_path: Path) -> None:
    store = store_of(tmp_path, "full", seeds=2)
    curves = [r.curve()["error_percent"] for r in store.records("paper")]
    shown = line(ladder.draw(store, "paper").axes[0], "full").get_ydata()
    np.testing.assert_allclose(np.asarray(shown, float), np.mean(curves, axis=0))


def test_bands_are_drawn_where_there_are_seeds(drawn: Figure) -> None:
    assert len(bands(drawn.axes[0])) == len(VARIANTS)
    assert len(bands(drawn.axes[1])) == 7
    assert "Bands: mean ± one standard deviation over seeds." in caption(drawn)


def test_one_seed_has_no_band(tmp_path: Path) -> None:
    figure = ladder.draw(store_of(tmp_path, "full"), "paper")
    assert bands(figure.axes[0]) == []
    assert "Bands" not in caption(figure)


def test_every_layer_has_a_curve_of_its_cost(drawn: Figure) -> None:
    assert [n.get_gid() for n in drawn.axes[1].lines] == [f"C_{i}" for i in range(7)]


@pytest.mark.parametrize("cost", [0.95, 0.5])
def test_a_cost_that_stays_near_one_is_named(tmp_path: Path, cost: float) -> None:
    store = store_of(tmp_path, "full")
    (record,) = store.records("paper")
    arrays = {name: record.arrays(name) for name in ("combinators", "labels", "predictions")}
    curve = record.curve().assign(C_2=cost)
    store.write("paper", record.run, record.env, record.final, curve, arrays)
    figure = ladder.draw(store, "paper")
    said = [t.get_text() for t in figure.axes[1].texts if t.get_gid() == "stuck"]
    assert said == (["layer 2: 500 units, weight 0.1"] if cost > 0.9 else [])
    assert ("C_2 (weight 0.1) stays near 1" in caption(figure)) == (cost > 0.9)


def test_every_layer_has_a_panel_of_its_combinator(drawn: Figure) -> None:
    panels = drawn.axes[2:]
    assert [ax.get_title() for ax in panels] == [f"layer {i}" for i in range(7)]
    assert {len(ax.lines) for ax in panels} == {3}


def test_a_combinator_s_curve_is_its_median(tmp_path: Path) -> None:
    store = store_of(tmp_path, "full")
    saved = store.records("paper")[0].arrays("combinators")
    panel = ladder.draw(store, "paper").axes[3]
    for shown, curve in zip(panel.lines, saved["g1"], strict=True):
        np.testing.assert_allclose(np.asarray(shown.get_ydata(), float), curve[:, 1])


def test_an_empty_store_says_not_run(tmp_path: Path) -> None:
    figure = ladder.draw(Store(tmp_path), "paper")
    assert texts(figure).count("not run") == 3
    assert "No finished Run." in caption(figure)


def test_a_variant_that_was_not_run_is_named(tmp_path: Path) -> None:
    figure = ladder.draw(store_of(tmp_path, "full", profile="quick"), "quick")
    assert "Gamma model (top-level cost only) (not run)" in legend_labels(figure)


def test_a_diverged_run_is_said_with_its_epoch(tmp_path: Path) -> None:
    store = store_of(tmp_path, "baseline")
    fixture_store.diverge(
        store, "paper", profiles.run_of(cell("full"), profiles.profile("paper")), 5
    )
    figure = ladder.draw(store, "paper")
    assert "diverged at epoch 5" in texts(figure)
    assert "Diverged at epoch 5, not counted: ladder-full-100-s1." in caption(figure)


def test_the_caption_names_the_profile_s_own_budget(tmp_path: Path) -> None:
    figure = ladder.draw(store_of(tmp_path, "full", profile="quick"), "quick")
    assert caption(figure).startswith(
        "Ladder networks with 100 labels, MNIST (reduced protocol, not a reproduction). "
    )
    assert caption(figure).endswith("Profile quick (2 epochs). 1 seed.")


@pytest.mark.parametrize("profile", ["paper", "quick"])
def test_nothing_is_cut_off_or_covers_the_caption(tmp_path: Path, profile: str) -> None:
    figure = ladder.draw(store_of(tmp_path, *VARIANTS, profile=profile), profile)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
    boxes = [a.get_tightbbox(renderer) for a in figure.axes]
    boxes += [n.get_window_extent(renderer) for n in figure.legends]
    below = text.get_window_extent(renderer)
    assert all(box.y0 >= below.y1 for box in boxes)
    assert all(box.x0 >= -0.5 and box.x1 <= figure.bbox.x1 + 0.5 for box in boxes)


def test_labels_of_curves_that_end_close_together_are_kept_apart() -> None:
    heights = ladder_panels.apart({0: 1.0, 1: 1.01, 2: 5.0}, (0.1, 10.0))
    assert heights[0] == pytest.approx(1.0)
    assert heights[1] == pytest.approx(100**ladder_panels.GAP)
    assert heights[2] == pytest.approx(5.0)
