"""Figures 4, 5, 6, 9, 10 and of Ladder networks: what is drawn equals what is saved."""

import fixture_store
import numpy as np
import pytest
from figure_reader import bands, caption, half_lengths, heights, legend_labels, style
from fixture_figures import LABELS, draw, draw_of, record, reduced, run_of, shared
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer

from repro.judge.measures import projections
from repro.plan.experiments.grid import VARIANTS

LAYERS = [f"$z_{i}$" for i in range(1, 6)]


def meshes(figure) -> list[QuadMesh]:
    return [c for a in figure.axes[:-1] for c in a.collections if isinstance(c, QuadMesh)]


def test_figure4_holds_the_saved_values_of_every_active_unit_sorted_within_its_layer():
    figure = draw("figure4")
    *panels, bar = figure.axes
    assert [a.get_title() for a in panels] == LABELS
    for variant, mesh in zip(VARIANTS, meshes(figure), strict=True):
        units, drawn = record(variant).arrays("kl_units")["test"], np.ma.asarray(mesh.get_array())
        active = np.sort(units[units > 0.01])
        np.testing.assert_array_equal(np.sort(drawn.compressed()), active)
        assert drawn.size == units.size
        for layer in np.split(drawn.filled(0)[:, -1], np.cumsum([64, 32, 16, 8])):
            assert np.all(np.diff(layer) >= 0)
    assert [t.get_text() for t in panels[0].get_yticklabels()] == LAYERS
    assert list(panels[0].get_yticks()) == [32, 80, 104, 116, 122]  # the middle of each layer
    assert bar.get_yscale() == "log"
    units = record("vae").arrays("kl_units")["test"]
    assert f"VAE {np.sum(units < 0)} of {units.size}" in caption(figure)
    seeds = draw("figure4", "reduced")  # cells lie around their epochs, which are marked
    edges = meshes(seeds)[0].get_coordinates()[0, :, 0]
    assert edges.tolist() == [0.5, 1.5, 3.5, 7.5, 15, 25, 35, 45]
    assert list(seeds.axes[0].xaxis.get_minorticklocs()) == [1, 2, 5, 10, 20, 30, 40]
    assert "Shown: the lowest finished seed." in caption(seeds)


@pytest.mark.parametrize(("runs", "panels", "below"), [(1, 1, 1), (2, 2, 2), (3, 4, 2)])
def test_figure4_has_a_panel_for_each_model_that_was_run(runs, panels, below, store):
    fixture_store.build(store.root, runs=[run_of(v) for v in list(VARIANTS)[:runs]])
    figure = draw_of("figure4", store)
    assert len(figure.axes) == panels + 1, "and the colour bar"
    shown = [a for a in figure.axes[:-1] if a.get_visible()]
    assert [a.get_title() for a in shown] == LABELS[:runs]
    assert len(meshes(figure)) == runs
    assert [a.get_xlabel() for a in shown].count("epoch") == below
    assert f" Not run: {', '.join(LABELS[runs:])} of depth 5." in caption(figure)


def bar_groups(figure) -> dict[str, BarContainer]:
    containers = figure.axes[0].containers
    return {c.get_label(): c for c in containers if isinstance(c, BarContainer)}


def test_figure5_bars_are_the_saved_layers_on_the_paper_s_axis_or_their_mean_and_spread():
    figure, seeds = draw("figure5"), draw("figure5", "reduced")
    (ax,) = figure.axes
    assert list(bar_groups(figure)) == [*VARIANTS]
    for variant, bars in bar_groups(figure).items():
        saved = record(variant).final["kl_layers"]
        np.testing.assert_allclose([bar.get_height() for bar in bars], saved)
        assert bars.errorbar is None
    assert legend_labels(figure) == LABELS
    assert "No whiskers: records hold no error" in caption(figure)
    assert ax.get_ylim() == (0, 25)

    group, saved = bar_groups(seeds)["vae"], [r.final["kl_layers"] for r in reduced("vae")]
    np.testing.assert_allclose([bar.get_height() for bar in group], np.mean(saved, axis=0))
    spread = np.std(saved, axis=0, ddof=1)
    np.testing.assert_allclose(half_lengths(group.errorbar), spread, atol=1e-12)
    assert "No whiskers" not in caption(seeds)


def test_figure5_numbers_its_bars_and_counts_those_below_zero(store):
    fixture_store.write(store, "quick", run_of("vae"), kl_layers=[40.04, 1.0, -0.04, 0.0, -0.26])
    figure = draw_of("figure5", store)
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.texts] == ["40.0", "1.0", "0.0", "0.0", "−0.3"]
    assert ax.get_ylim()[1] == pytest.approx(42.042), "room for larger values than the paper's"
    assert "Estimates below zero, not visible: 2." in caption(figure)


def test_a_missing_variant_is_named_and_keeps_its_colour(store):
    fixture_store.build(store.root, runs=[run_of(v) for v in VARIANTS if v != "vae"])
    figure = draw_of("figure5", store)
    assert "vae" not in bar_groups(figure)
    first = [bars[0] for bars in bar_groups(figure).values()]
    middle = (first[0].get_x() + first[-1].get_x() + first[-1].get_width()) / 2
    assert middle == pytest.approx(1), "what is there stands around its layer's number"
    for shown in (figure, draw_of("figure2", store)):
        assert legend_labels(shown)[0] == "VAE (not run)"
    patch = figure.axes[0].get_legend().legend_handles[0]
    assert to_hex(patch.get_facecolor()) == style.COLOURS["vae"]


def test_figure6_draws_the_saved_projections_a_row_per_model_and_a_column_per_layer():
    figure = draw("figure6")
    for row, variant in enumerate(VARIANTS):
        saved = record(variant)
        for i, ax in enumerate(figure.axes[5 * row : 5 * row + 5], start=1):
            (points,) = [c for c in ax.collections if isinstance(c, PathCollection)]
            np.testing.assert_allclose(points.get_offsets(), projections(saved, i))
            np.testing.assert_array_equal(points.get_array(), saved.arrays("pca")["labels"])
            assert points.get_rasterized()
            circles = {p.get_gid(): p.get_radius() for p in ax.patches}
            assert circles == {"1 sd": 1, "2 sd": 2}
    assert [a.get_title() for a in figure.axes[:5]] == LAYERS
    assert [a.get_ylabel() for a in figure.axes[::5]] == [f"{label}\nPC 2" for label in LABELS]
    assert legend_labels(figure) == ["digit", *map(str, range(10))]
    for ax in figure.axes:
        low, high = ax.get_xlim()
        assert ax.get_ylim() == (low, high) == (-high, high), "one scale for both axes"
        assert 0.9 * high < max(np.abs(c.get_offsets()).max() for c in ax.collections) < high


def test_figure6_has_rows_for_models_that_were_run_alone(store):
    fixture_store.write(store, "quick", run_of("vae"))
    figure = draw_of("figure6", store)
    (label,) = (a.get_ylabel().partition("\n")[0] for a in figure.axes[::5])
    assert f" Not run: {', '.join(v for v in LABELS if v != label)} of depth 5." in caption(figure)
    assert {a.get_xlabel() for a in figure.axes} == {"PC 1"}


@pytest.mark.parametrize(("figure", "data"), [("figure9", "mnist"), ("figure10", "omniglot")])
def test_mosaics_show_the_saved_images_row_by_row(figure, data):
    images, axes = record("lvae_bn_wu", data).arrays("samples"), draw(figure).axes
    for ax, name in zip(axes, ("true", "reconstruction", "prior"), strict=True):
        drawn = np.asarray(ax.images[0].get_array())
        for row, column in ((0, 1), (3, 7)):  # 30 pixels apart
            tile = drawn[30 * row :, 30 * column :][:28, :28]
            np.testing.assert_array_equal(tile, images[name][10 * row + column].reshape(28, 28))
        assert drawn.shape == (298, 298)


def test_the_ladder_s_error_and_costs_are_means_over_seeds_and_its_combinators_medians():
    figure, store = draw("ladder", "reduced"), shared("reduced")
    error, cost, *panels = figure.axes
    assert {n.get_gid() for n in error.lines} == {"full", "baseline"}
    assert "Gamma model (top-level cost only) (not run)" in legend_labels(figure)
    assert [n.get_gid() for n in cost.lines] == [f"C_{i}" for i in range(7)]
    assert [ax.get_title() for ax in panels] == [f"layer {i}" for i in range(7)]
    assert {len(ax.lines) for ax in panels} == {3}
    assert (len(bands(error)), len(bands(cost))) == (2, 7)
    said = "Bands in (a) and (b): mean ± one standard deviation over seeds."
    assert said in caption(figure)
    full = [store.record("reduced", f"ladder-full-100-s{seed}") for seed in (1, 2)]
    mean = np.mean([r.curve()["error_percent"] for r in full], axis=0)
    np.testing.assert_allclose(heights(error, "full"), mean)
    saved = full[0].arrays("combinators")["g1"]
    for combinator, curve in zip(panels[1].lines, saved, strict=True):
        np.testing.assert_allclose(np.asarray(combinator.get_ydata(), float), curve[:, 1])
    assert said not in caption(draw("ladder"))
    assert bands(draw("ladder").axes[0]) == []


@pytest.mark.parametrize("cost", [0.95, 0.5])
def test_a_cost_of_the_ladder_that_stays_near_one_is_named(store, cost):
    record = shared("quick").record("quick", "ladder-full-100-s1")
    arrays = {name: record.arrays(name) for name in ("combinators", "labels", "predictions")}
    curve = record.curve().assign(C_2=cost)
    store.write("quick", record.run, record.env, record.final, curve, arrays)
    figure = draw_of("ladder", store)
    said = [t.get_text() for t in figure.axes[1].texts if t.get_gid() == "stuck"]
    assert said == (["layer 2: 500 units, weight 0.1"] if cost > 0.9 else [])
    assert ("C_2 (weight 0.1) stays near 1" in caption(figure)) == (cost > 0.9)
