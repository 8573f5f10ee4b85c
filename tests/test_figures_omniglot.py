"""Figures 7, 8 and 10, from synthetic records: what is drawn equals what is saved."""

from __future__ import annotations

from pathlib import Path

import fixture_figures
import fixture_store
import numpy as np
import pytest
from fixture_figures import build, caption, draw, legend_labels, line, run_of

from repro.judge.targets import TARGETS
from repro.plan.experiments.grid import VARIANTS
from repro.store import Record, Store

quick_store = fixture_figures.quick_store
reduced_store = fixture_figures.reduced_store
empty_store = fixture_figures.empty_store

METRICS = ("L1_train", "L1_test", "LK_test")


def seeds(store: Store, variant: str, depth: int, data: str) -> list[Record]:
    return fixture_store.seeds(store, "reduced", run_of(variant, depth, "reduced", data=data))


@pytest.mark.parametrize(("panel", "metric"), list(enumerate(METRICS)))
def test_figure7_adds_the_lvae_without_batch_norm(
    reduced_store: Store, panel: int, metric: str
) -> None:
    drawn = np.asarray(
        line(draw("figure7", reduced_store, "reduced").axes[panel], "lvae_wu").get_ydata()
    )
    means = [
        np.mean([r.final[metric] for r in seeds(reduced_store, "lvae_wu", d, "mnist")])
        for d in range(2, 6)
    ]
    assert np.isnan(drawn[0])
    np.testing.assert_allclose(drawn[1:], means)


def test_figure7_names_the_lvae_without_batch_norm(reduced_store: Store) -> None:
    assert "LVAE+WU" in legend_labels(draw("figure7", reduced_store, "reduced"))


def test_figure3_does_not_show_it(reduced_store: Store) -> None:
    assert "LVAE+WU" not in legend_labels(draw("figure3", reduced_store, "reduced"))


@pytest.mark.parametrize(("panel", "metric"), list(enumerate(METRICS)))
def test_figure8_draws_the_bounds_of_omniglot(
    reduced_store: Store, panel: int, metric: str
) -> None:
    ax = draw("figure8", reduced_store, "reduced").axes[panel]
    for variant in VARIANTS:
        depths = range(2 if variant == "lvae_bn_wu" else 1, 6)
        means = [
            np.mean([r.final[metric] for r in seeds(reduced_store, variant, d, "omniglot")])
            for d in depths
        ]
        np.testing.assert_allclose(np.asarray(line(ax, variant).get_ydata())[-len(means) :], means)


def test_figure8_shows_every_value_of_table_2(empty_store: Store) -> None:
    figure = draw("figure8", empty_store)
    published = [t for name, t in TARGETS.items() if name.startswith("table2/omniglot/")]
    assert len(published) == 19
    for target in published:
        shown = line(figure.axes[2], target.id)
        assert set(shown.get_ydata()) == {target.paper}
        assert round(np.mean(shown.get_xdata())) == target.cells[0].depth


def test_figure10_shows_the_saved_images_of_omniglot(quick_store: Store) -> None:
    images = quick_store.record("quick", run_of("lvae_bn_wu", data="omniglot").id).arrays("samples")
    for ax, name in zip(
        draw("figure10", quick_store).axes, ("true", "reconstruction", "prior"), strict=True
    ):
        drawn = np.asarray(ax.images[0].get_array())
        np.testing.assert_array_equal(drawn[:28, 30:58], images[name][1].reshape(28, 28))


@pytest.mark.parametrize("name", ["figure8", "figure10"])
def test_a_rebuilt_data_set_is_called_other_data(name: str, tmp_path: Path) -> None:
    store = build(tmp_path)
    run = run_of("lvae_bn_wu", data="omniglot")
    record = store.record("quick", run.id)
    env = {**record.env, "data": {**record.env["data"], "version": "rebuilt"}}
    arrays = {n: record.arrays(n) for n in ("kl_units", "per_image", "pca", "samples")}
    store.write("quick", run, env, record.final, record.curve(), arrays)
    assert "Ours is on rebuilt OMNIGLOT: other data than the paper's." in caption(draw(name, store))


def test_the_published_data_set_is_not(quick_store: Store) -> None:
    assert "other data" not in caption(draw("figure8", quick_store))
