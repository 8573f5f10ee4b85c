"""Figures 7, 8 and 10, from synthetic records: what is drawn equals what is saved."""

from __future__ import annotations

from pathlib import Path

import fixture_store
import numpy as np
import pytest
from fixture_figures import caption, draw, draw_of, legend_labels, line, over_seeds, run_of

from repro.judge.targets import TARGETS
from repro.plan.experiments.grid import VARIANTS
from repro.store import Store


@pytest.mark.parametrize(("panel", "metric"), list(enumerate(("L1_train", "L1_test", "LK_test"))))
def test_figures_7_and_8_draw_the_mean_of_the_saved_bounds(panel: int, metric: str) -> None:
    shown = {"figure7": [("lvae_wu", "mnist")], "figure8": [(v, "omniglot") for v in VARIANTS]}
    for name, curves in shown.items():
        ax = draw(name, "reduced").axes[panel]
        for variant, data in curves:
            means = over_seeds(metric, variant, data)["mean"]
            drawn = np.asarray(line(ax, variant).get_ydata())
            np.testing.assert_allclose(drawn[-len(means) :], means)
            assert np.isnan(drawn[: -len(means)]).all()


def test_figure7_alone_shows_the_lvae_without_batch_norm() -> None:
    shown = {n: "LVAE+WU" in legend_labels(draw(n, "reduced")) for n in ("figure3", "figure7")}
    assert shown == {"figure3": False, "figure7": True}


def test_figure8_shows_every_value_of_table_2() -> None:
    ax = draw("figure8", "paper").axes[2]
    published = [t for name, t in TARGETS.items() if name.startswith("table2/omniglot/")]
    assert len(published) == 19
    for target in published:
        shown = line(ax, target.id)
        assert set(shown.get_ydata()) == {target.paper}
        assert round(np.mean(shown.get_xdata())) == target.cells[0].depth


def test_a_rebuilt_data_set_is_called_other_data(tmp_path: Path) -> None:
    env, run = {"data": {"version": "rebuilt"}}, run_of("lvae_bn_wu", data="omniglot")
    fixture_store.write(Store(tmp_path), "quick", run, env=env)
    for name in ("figure8", "figure10"):
        said = caption(draw_of(name, Store(tmp_path)))
        assert "Ours is on rebuilt OMNIGLOT: other data than the paper's." in said
        assert "other data" not in caption(draw(name))
