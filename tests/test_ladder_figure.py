"""The figure of Ladder networks: what it shows, and what it says of gaps."""

import importlib

import fixture_store
import numpy as np
import pytest
from figure_reader import assert_nothing_is_cut_off, bands, caption, heights, legend_labels, texts

from repro.plan import profiles
from repro.plan.experiments.ladder import cell
from repro.show.scripts import load as script
from repro.store import Store

VARIANTS = ("full", "bottom", "gamma", "baseline")
ladder = script("figures", "ladder")
ladder_panels = importlib.import_module("repro.show.panels.ladder")  # after style


def store_of(root, *variants, profile="paper", seeds=1) -> Store:
    p = profiles.profile(profile)
    runs = [profiles.run_of(cell(v), p, seed) for v in variants for seed in range(1, seeds + 1)]
    return fixture_store.build(root, profile, runs=runs)


def test_every_variant_layer_and_combinator_is_drawn_as_it_was_saved(tmp_path):
    """Errors and costs as means over seeds, combinators as their medians."""
    store = store_of(tmp_path, *VARIANTS, seeds=2)
    figure = ladder.draw(store, "paper")
    error, cost, *panels = figure.axes
    assert {n.get_gid() for n in error.lines} == set(VARIANTS)
    assert [n.get_gid() for n in cost.lines] == [f"C_{i}" for i in range(7)]
    assert [ax.get_title() for ax in panels] == [f"layer {i}" for i in range(7)]
    assert {len(ax.lines) for ax in panels} == {3}
    assert (len(bands(error)), len(bands(cost))) == (4, 7)
    assert "Bands in (a) and (b): mean ± one standard deviation over seeds." in caption(figure)
    assert_nothing_is_cut_off(figure)
    full = [store.record("paper", f"ladder-full-100-s{seed}") for seed in (1, 2)]
    mean = np.mean([r.curve()["error_percent"] for r in full], axis=0)
    np.testing.assert_allclose(heights(error, "full"), mean)
    saved = full[0].arrays("combinators")["g1"]
    for combinator, curve in zip(panels[1].lines, saved, strict=True):
        np.testing.assert_allclose(np.asarray(combinator.get_ydata(), float), curve[:, 1])


def test_one_seed_of_one_variant_says_so(tmp_path):
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
def test_a_cost_that_stays_near_one_is_named(tmp_path, cost):
    store = store_of(tmp_path, "full")
    (record,) = store.records("paper")
    arrays = {name: record.arrays(name) for name in ("combinators", "labels", "predictions")}
    curve = record.curve().assign(C_2=cost)
    store.write("paper", record.run, record.env, record.final, curve, arrays)
    figure = ladder.draw(store, "paper")
    said = [t.get_text() for t in figure.axes[1].texts if t.get_gid() == "stuck"]
    assert said == (["layer 2: 500 units, weight 0.1"] if cost > 0.9 else [])
    assert ("C_2 (weight 0.1) stays near 1" in caption(figure)) == (cost > 0.9)


def test_what_was_not_run_and_a_run_that_diverged_are_said(tmp_path):
    figure = ladder.draw(Store(tmp_path), "paper")
    assert texts(figure).count("not run") == 3
    assert "No finished Run." in caption(figure)
    store, paper = store_of(tmp_path, "baseline"), profiles.profile("paper")
    fixture_store.diverge(store, "paper", profiles.run_of(cell("full"), paper), epoch=5)
    figure = ladder.draw(store, "paper")
    assert "diverged at epoch 5" in texts(figure)
    assert "Diverged at epoch 5, not counted: ladder-full-100-s1." in caption(figure)


def test_labels_of_curves_that_end_close_together_are_kept_apart():
    places = ladder_panels.apart({0: 1.0, 1: 1.01, 2: 5.0}, (0.1, 10.0))
    assert places == pytest.approx({0: 1.0, 1: 100**ladder_panels.GAP, 2: 5.0})
