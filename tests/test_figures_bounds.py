"""Figures 2, 3, 7 and 8, from synthetic records: what is drawn equals what is saved."""

import fixture_store
import numpy as np
import pytest
from figure_reader import bands, caption, half_lengths, heights, legend_labels, line, style
from fixture_figures import LABELS, draw, draw_of, over_seeds, record, reduced, run_of
from matplotlib.container import ErrorbarContainer

from repro.judge.targets import TARGETS
from repro.plan import profiles
from repro.plan.experiments.grid import VARIANTS

PANELS = list(enumerate(("L1_train", "L1_test", "LK_test")))


def test_figure2_draws_the_saved_curves_and_dashes_the_test_set():
    figure = draw("figure2")
    (ax,) = figure.axes
    for variant in VARIANTS:
        curve, colour = record(variant).curve(), style.COLOURS[variant]
        for column, dashes in (("L1_train", "-"), ("L1_test", "--")):
            drawn = line(ax, column, colour)
            np.testing.assert_allclose(drawn.get_xdata(), curve["epoch"])
            np.testing.assert_allclose(drawn.get_ydata(), curve[column])
            assert drawn.get_linestyle() == dashes
    assert len({(n.get_marker(), n.get_linestyle()) for n in ax.lines}) == 8, "without colour"
    assert legend_labels(figure) == [*LABELS, "train", "test"]


@pytest.mark.parametrize("profile", ["quick", "reduced"])
def test_figure2_shows_every_evaluation_after_the_warm_up_and_has_no_empty_part(profile):
    """A curve is visible within the first tenth of the axis, and every one ends in the last."""
    figure, schedule = draw("figure2", profile), profiles.profile(profile).schedule
    (ax,) = figure.axes
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    begin = np.linspace(left, left + 0.1 * (right - left))
    seen = []
    for drawn in ax.lines:
        x, y = np.asarray(drawn.get_xdata()), np.asarray(drawn.get_ydata())
        assert x.tolist() == record("vae", profile=profile).arrays("kl_units")["epochs"].tolist()
        late = y[x > schedule.warmup_epochs]
        assert np.all((late > low) & (late < high))
        seen.append((np.interp(begin, x, y) >= low).any())
        assert x[-1] > right - 0.1 * (right - left)
    assert any(seen)
    assert "from the first epochs, lie below the axis" in caption(figure)


def test_figure2_band_is_one_standard_deviation_where_there_are_seeds():
    seeds, one = draw("figure2", "reduced"), draw("figure2")
    (ax,) = seeds.axes
    last = [r.curve()["L1_train"].iloc[-1] for r in reduced("vae")]
    top = max(y for x, y in bands(ax)[0].get_paths()[0].vertices if x == 40)
    assert len(bands(ax)) == 8
    assert heights(ax, "L1_train", style.COLOURS["vae"])[-1] == pytest.approx(np.mean(last))
    assert top == pytest.approx(np.mean(last) + np.std(last, ddof=1))
    said = "Bands: mean ± one standard deviation over seeds."
    assert (said in caption(seeds), said in caption(one)) == (True, False)
    assert bands(one.axes[0]) == []


def whiskers(figure, panel) -> dict[str, np.ndarray]:
    """Half the length of each error bar of a panel, by what it is of."""
    bars = [c for c in figure.axes[panel].containers if isinstance(c, ErrorbarContainer)]
    return {str(c.get_label()): half_lengths(c) for c in bars}


@pytest.mark.parametrize(
    ("name", "data", "variants"),
    [
        ("figure3", "mnist", [*VARIANTS]),
        ("figure7", "mnist", [*VARIANTS, "lvae_wu"]),
        ("figure8", "omniglot", [*VARIANTS]),
    ],
)
def test_curves_are_the_means_of_the_saved_bounds_and_whiskers_their_spread(name, data, variants):
    figure = draw(name, "reduced")
    for panel, metric in PANELS:
        bars = whiskers(figure, panel)
        assert {f"error {v}" for v in variants} == set(bars) - {"error over images"}
        for variant in variants:
            found = over_seeds(metric, variant, data)
            drawn = heights(figure.axes[panel], variant)
            np.testing.assert_allclose(drawn[-len(found) :], found["mean"])
            assert np.isnan(drawn[: -len(found)]).all()
            np.testing.assert_allclose(bars[f"error {variant}"], found["std"], atol=1e-9)
        places = [float(line(figure.axes[panel], v).get_xdata()[1]) for v in variants]
        assert np.diff(sorted(places)).min() > 0.1, "beside each other at their depth"
        assert np.abs(np.array(places) - 2).max() < 0.4
    assert "Whiskers: one standard deviation over seeds." in caption(figure)
    assert ("LVAE+WU" in legend_labels(figure)) == (name == "figure7")


def test_figure3_says_which_k_is_ours_and_which_depths_were_not_run():
    said = caption(draw("figure3"))
    assert "(in (c) L_5000, ours L_500)" in said
    assert " (c) is of the first 1,000 test images, which are easier than the rest: not" in said
    missing = "VAE, VAE+BN, VAE+BN+WU of depth 1, 2, 3, 4; LVAE+BN+WU of depth 2, 3, 4."
    assert f"Not run: {missing}" in said


@pytest.mark.parametrize(
    ("panel", "target", "depth", "far"),
    [
        (1, "text/L1_test/lvae5", 5, 0.0),
        (1, "text/L1_test/vae3", 3, -0.4),
        (1, "text/L1_test/lvae5", 5, -20.0),
        (2, "text/L5000_test/lvae5", 5, -0.4),
        (2, "text/L5000_test/lvae5", 5, -20.0),
        (2, "text/L5000_test/vae_best", 0.5, -0.4),  # across, in shares of the axis
    ],
)
def test_published_values_are_lines_before_the_curves(store, panel, target, depth, far):
    """Whether ours lie around the published value or far below it, where it gets a strip."""
    name, value = PANELS[panel][1], TARGETS[target].paper
    for d in (2, 5):
        bound = {name: value + far - 0.1 * d}
        fixture_store.write(store, "reduced", run_of("vae", d, "reduced"), **bound)
    figure = draw_of("figure3", store, "reduced")
    (ax,) = [a for a in figure.axes if any(n.get_gid() == target for n in a.lines)]
    shown = line(ax, target)
    assert (ax in figure.axes[:3]) == (far > -1)
    assert set(shown.get_ydata()) == {value}
    assert np.mean(shown.get_xdata()) == pytest.approx(depth, abs=0.4)
    assert ax.get_ylim()[0] < value < ax.get_ylim()[1]
    assert all(shown.zorder > n.zorder for n in ax.lines if n.get_gid() in VARIANTS)


@pytest.mark.parametrize(
    ("values", "cut"),
    [  # of VAEs of depth 1 to 5
        ((-97.0, -94.3, -92.5, -92.2, -92.0), {-97.0}),  # the shallowest lies below all others
        ((-92.3, -93.0, -92.5, -92.2, -92.0), set()),
        ((-97.0, -92.1, -120.0, -92.2, -92.0), {-97.0, -120.0}),  # an outlier too
        ((-92.0,) * 5, set()),
        ((-97.0, -92.0), set()),  # else one point would be left of a curve
    ],
)
def test_a_cut_axis_shows_what_it_cuts_by_its_value(store, values, cut):
    for depth, value in enumerate(values, start=1):
        fixture_store.write(store, "reduced", run_of("vae", depth, "reduced"), L1_train=value)
    figure = draw_of("figure3", store, "reduced")
    ax = figure.axes[0]
    said = {t.get_text() for t in ax.texts if t.get_gid() == "below"}
    assert said == {f"↓ −{-v:.2f}" for v in cut}
    zone = [p.get_extents().y1 for p in ax.patches if p.get_gid() == "zone"]
    visible = zone[0] if zone else ax.get_window_extent().y0
    places = {v: ax.transData.transform((1, v))[1] for v in values}
    assert all((h > visible) == (v not in cut) for v, h in places.items())
    assert ("The axes are cut" in caption(figure)) == bool(cut)


def test_of_one_seed_errors_are_those_of_monte_carlo_and_over_images_if_they_are_known(store):
    figure = draw("figure3")
    assert [set(whiskers(figure, i)) - {"error over images"} for i in (0, 1)] == [set(), set()]
    np.testing.assert_allclose(whiskers(figure, 2)["error vae"], [0.02])
    assert "Whiskers in (c), mostly smaller than the markers" in caption(figure)
    for panel, name in ((1, "L1_se"), (2, "LK_se")):
        largest = max(record(v).final[name] for v in VARIANTS)
        shown = [t for t in figure.axes[panel].texts if t.get_gid() == "error over images"]
        assert [t.get_text() for t in shown] == [f"images ±{largest:.2f}"]
    unknown = dict.fromkeys(("L1_se", "LK_se", "LK_mc_error"))
    fixture_store.write(store, "quick", run_of("vae"), **unknown)
    without = draw_of("figure3", store)
    assert [whiskers(without, panel) for panel in range(3)] == [{}, {}, {}]
    assert "Grey bars" not in caption(without)


def test_figure8_shows_every_value_of_table_2():
    ax = draw("figure8", "paper").axes[2]
    published = [t for name, t in TARGETS.items() if name.startswith("table2/omniglot/")]
    assert len(published) == 19
    for target in published:
        shown = line(ax, target.id)
        assert set(shown.get_ydata()) == {target.paper}
        assert round(np.mean(shown.get_xdata())) == target.cells[0].depth
