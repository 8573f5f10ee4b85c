"""The figure of Ladder networks: what it shows, and what it says of gaps."""

import importlib
from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
from fixture_figures import assert_nothing_is_cut_off, bands, caption, legend_labels, line, texts
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


def test_every_variant_every_layer_and_every_combinator_is_drawn(drawn: Figure) -> None:
    error, cost, *panels = drawn.axes
    assert {n.get_gid() for n in error.lines} == set(VARIANTS)
    assert [n.get_gid() for n in cost.lines] == [f"C_{i}" for i in range(7)]
    assert [ax.get_title() for ax in panels] == [f"layer {i}" for i in range(7)]
    assert {len(ax.lines) for ax in panels} == {3}
    assert (len(bands(error)), len(bands(cost))) == (4, 7)
    assert "Bands in (a) and (b): mean ± one standard deviation over seeds." in caption(drawn)
    assert_nothing_is_cut_off(drawn)


def test_the_error_is_the_mean_over_seeds_and_a_combinator_its_median(tmp_path: Path) -> None:
    store = store_of(tmp_path, "full", seeds=2)
    records = store.records("paper")
    figure = ladder.draw(store, "paper")
    shown = line(figure.axes[0], "full").get_ydata()
    curves = [r.curve()["error_percent"] for r in records]
    np.testing.assert_allclose(np.asarray(shown, float), np.mean(curves, axis=0))
    saved = records[0].arrays("combinators")["g1"]
    for combinator, curve in zip(figure.axes[3].lines, saved, strict=True):
        np.testing.assert_allclose(np.asarray(combinator.get_ydata(), float), curve[:, 1])


def test_one_seed_of_one_variant_says_so(tmp_path: Path) -> None:
    figure = ladder.draw(store_of(tmp_path, "full", profile="quick"), "quick")
    assert bands(figure.axes[0]) == []
    assert "Bands" not in caption(figure)
    assert "Gamma model (top-level cost only) (not run)" in legend_labels(figure)
    assert caption(figure).startswith(
        "Ladder networks with 100 labels, MNIST (reduced protocol, not a reproduction). "
    )
    assert caption(figure).endswith("Profile quick (2 epochs). 1 seed.")
    assert_nothing_is_cut_off(figure)


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


def test_an_empty_store_says_not_run(tmp_path: Path) -> None:
    figure = ladder.draw(Store(tmp_path), "paper")
    assert texts(figure).count("not run") == 3
    assert "No finished Run." in caption(figure)


def test_a_diverged_run_is_said_with_its_epoch(tmp_path: Path) -> None:
    store = store_of(tmp_path, "baseline")
    fixture_store.diverge(
        store, "paper", profiles.run_of(cell("full"), profiles.profile("paper")), 5
    )
    figure = ladder.draw(store, "paper")
    assert "diverged at epoch 5" in texts(figure)
    assert "Diverged at epoch 5, not counted: ladder-full-100-s1." in caption(figure)


def test_labels_of_curves_that_end_close_together_are_kept_apart() -> None:
    heights = ladder_panels.apart({0: 1.0, 1: 1.01, 2: 5.0}, (0.1, 10.0))
    assert heights[0] == pytest.approx(1.0)
    assert heights[1] == pytest.approx(100**ladder_panels.GAP)
    assert heights[2] == pytest.approx(5.0)
