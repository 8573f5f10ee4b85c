"""Figures 4, 6 and 9, from synthetic records: what is drawn equals what is saved."""

from __future__ import annotations

from pathlib import Path

import fixture_figures
import fixture_store
import numpy as np
import pytest
from fixture_figures import (
    LABELS,
    caption,
    draw,
    legend_labels,
    others,
    run_of,
)
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure

from repro.judge.measures import projections
from repro.plan.experiments.grid import VARIANTS
from repro.show import scripts
from repro.store import Store

quick_store = fixture_figures.quick_store
reduced_store = fixture_figures.reduced_store

# Figure 4


def meshes(figure: Figure) -> list[QuadMesh]:
    return [c for a in figure.axes[:4] for c in a.collections if isinstance(c, QuadMesh)]


def test_figure4_has_a_panel_per_variant_in_the_papers_order(quick_store: Store) -> None:
    assert [a.get_title() for a in draw("figure4", quick_store).axes[:4]] == LABELS


@pytest.mark.parametrize(("place", "variant"), list(enumerate(VARIANTS)))
def test_figure4_holds_the_saved_values_of_every_unit(
    quick_store: Store, place: int, variant: str
) -> None:
    units = quick_store.record("quick", run_of(variant).id).arrays("kl_units")
    drawn = np.ma.asarray(meshes(draw("figure4", quick_store))[place].get_array())
    active = np.sort(units["test"][units["test"] > 0.01])
    np.testing.assert_array_equal(np.sort(drawn.compressed()), active)


def test_figure4_sorts_units_by_their_last_value_within_a_layer(quick_store: Store) -> None:
    drawn = np.ma.asarray(meshes(draw("figure4", quick_store))[3].get_array()).filled(0)
    for layer in np.split(drawn[:, -1], np.cumsum([64, 32, 16, 8])):
        assert np.all(np.diff(layer) >= 0)


def test_figure4_leaves_inactive_units_white(quick_store: Store) -> None:
    drawn = np.ma.asarray(meshes(draw("figure4", quick_store))[0].get_array())
    assert drawn[drawn.mask].size > 0
    assert drawn.min() > 0.01


def test_figure4_cells_lie_around_their_epochs(reduced_store: Store) -> None:
    mesh = meshes(draw("figure4", reduced_store, "reduced"))[0]
    edges = mesh.get_coordinates()[0, :, 0]
    assert edges.tolist() == [0.5, 1.5, 3.5, 7.5, 15, 25, 35, 45]


def test_figure4_marks_the_evaluated_epochs(reduced_store: Store) -> None:
    for ax in draw("figure4", reduced_store, "reduced").axes[:4]:
        assert list(ax.xaxis.get_minorticklocs()) == [1, 2, 5, 10, 20, 30, 40]


def test_figure4_labels_layers_at_their_middle(quick_store: Store) -> None:
    ax = draw("figure4", quick_store).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == [f"$z_{i}$" for i in range(1, 6)]
    assert list(ax.get_yticks()) == [32, 80, 104, 116, 122]


def test_figure4_counts_negative_estimates(quick_store: Store) -> None:
    units = quick_store.record("quick", run_of("vae").id).arrays("kl_units")["test"]
    assert f"VAE {np.sum(units < 0)} of {units.size}" in caption(draw("figure4", quick_store))


def test_figure4_names_units_and_scale_of_the_colour_bar(quick_store: Store) -> None:
    bar = draw("figure4", quick_store).axes[4]
    assert bar.get_ylabel() == "KL of a unit (nats per example, log scale)"
    assert bar.get_yscale() == "log"


def test_figure4_marks_a_missing_panel(tmp_path: Path) -> None:
    figure = draw("figure4", fixture_store.build(tmp_path, runs=others("vae_bn_wu")))
    assert [t.get_text() for t in figure.axes[2].texts] == ["not run"]
    assert len(meshes(figure)) == 3


def test_figure4_draws_a_single_evaluated_epoch(tmp_path: Path) -> None:
    run = run_of("vae", profile="smoke")
    store = fixture_store.build(tmp_path, "smoke", runs=[run])
    arrays = store.record("smoke", run.id).arrays("kl_units")
    figure4 = scripts.load("figures", "figure4")
    assert figure4.edges(arrays["epochs"][-1:]).tolist() == [1.5, 2.5]


def test_figure4_says_which_seed_it_shows(reduced_store: Store) -> None:
    assert "Shown: the lowest seed." in caption(draw("figure4", reduced_store, "reduced"))


# Figure 6


@pytest.mark.parametrize(("row", "variant"), list(enumerate(VARIANTS)))
def test_figure6_draws_the_saved_projections(quick_store: Store, row: int, variant: str) -> None:
    axes = draw("figure6", quick_store).axes
    record = quick_store.record("quick", run_of(variant).id)
    for i in range(1, 6):
        (points,) = [c for c in axes[5 * row + i - 1].collections if isinstance(c, PathCollection)]
        np.testing.assert_allclose(points.get_offsets(), projections(record, i))
        np.testing.assert_array_equal(points.get_array(), record.arrays("pca")["labels"])


def test_figure6_points_are_rasterised(quick_store: Store) -> None:
    figure = draw("figure6", quick_store)
    assert all(c.get_rasterized() for a in figure.axes for c in a.collections)


def test_figure6_has_a_row_per_model_and_a_column_per_layer(quick_store: Store) -> None:
    axes = draw("figure6", quick_store).axes
    assert [a.get_title() for a in axes[:5]] == [f"$z_{i}$" for i in range(1, 6)]
    assert [axes[i].get_ylabel() for i in (0, 5, 10, 15)] == [f"{label}\nPC 2" for label in LABELS]


def test_figure6_has_one_scale_a_layer_and_no_point_outside(quick_store: Store) -> None:
    axes = draw("figure6", quick_store).axes
    for i in range(5):
        column = axes[i::5]
        (limits,) = {(*a.get_xlim(), *a.get_ylim()) for a in column}
        assert limits[:2] == limits[2:] == (-limits[1], limits[1])
        assert max(np.abs(c.get_offsets()).max() for a in column for c in a.collections) < limits[1]


def test_figure6_has_two_circles_in_each_panel(quick_store: Store) -> None:
    for ax in draw("figure6", quick_store).axes:
        circles = {p.get_gid(): p.get_radius() for p in ax.patches}
        assert circles == {"1 sd": 1, "2 sd": 2}


def test_figure6_legend_holds_the_ten_digits(quick_store: Store) -> None:
    assert legend_labels(draw("figure6", quick_store)) == ["digit", *map(str, range(10))]


def test_figure6_marks_a_missing_row(tmp_path: Path) -> None:
    figure = draw("figure6", fixture_store.build(tmp_path, runs=[run_of("vae")]))
    assert [t.get_text() for a in figure.axes[5:] for t in a.texts] == ["not run"] * 15


# Figure 9


@pytest.mark.parametrize(("panel", "name"), list(enumerate(["true", "reconstruction", "prior"])))
def test_figure9_shows_the_saved_images_row_by_row(
    quick_store: Store, panel: int, name: str
) -> None:
    images = quick_store.record("quick", run_of("lvae_bn_wu").id).arrays("samples")[name]
    drawn = np.asarray(draw("figure9", quick_store).axes[panel].images[0].get_array())
    tile = drawn[90 : 90 + 28, 210 : 210 + 28]  # fourth row, eighth column, 30 pixels apart
    np.testing.assert_array_equal(tile, images[37].reshape(28, 28))
    assert drawn.shape == (298, 298)


def test_figure9_titles_its_three_panels(quick_store: Store) -> None:
    assert [a.get_title() for a in draw("figure9", quick_store).axes] == [
        "(a) test images, binarised",
        "(b) reconstructions",
        "(c) samples from the prior",
    ]
