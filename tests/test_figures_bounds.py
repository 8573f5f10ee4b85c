"""Figures 2, 3 and 5, from synthetic records: what is drawn equals what is saved."""

from __future__ import annotations

from pathlib import Path

import fixture_figures
import fixture_store
import numpy as np
import pytest
from fixture_figures import (
    LABELS,
    bands,
    caption,
    draw,
    legend_labels,
    line,
    others,
    run_of,
    style,
)
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

from repro.errors import RecordError
from repro.judge.targets import TARGETS
from repro.plan import profiles
from repro.plan.experiments.grid import VARIANTS
from repro.store import Store

quick_store = fixture_figures.quick_store
reduced_store = fixture_figures.reduced_store
empty_store = fixture_figures.empty_store

# Figure 2


@pytest.mark.parametrize("column", ["L1_train", "L1_test"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_figure2_draws_the_saved_curve(quick_store: Store, variant: str, column: str) -> None:
    (ax,) = draw("figure2", quick_store).axes
    curve = quick_store.record("quick", run_of(variant).id).curve()
    drawn = line(ax, column, style.COLOURS[variant])
    np.testing.assert_allclose(drawn.get_xdata(), curve["epoch"])
    np.testing.assert_allclose(drawn.get_ydata(), curve[column])


def test_figure2_leaves_out_epochs_without_evaluation(reduced_store: Store) -> None:
    (ax,) = draw("figure2", reduced_store, "reduced").axes
    drawn = line(ax, "L1_test", style.COLOURS["vae"])
    assert list(drawn.get_xdata()) == [1, 2, 5, 10, 20, 30, 40]


@pytest.mark.parametrize(("column", "dashes"), [("L1_train", "-"), ("L1_test", "--")])
def test_figure2_dashes_the_test_set(quick_store: Store, column: str, dashes: str) -> None:
    (ax,) = draw("figure2", quick_store).axes
    drawn = [n for n in ax.lines if n.get_gid() == column]
    assert [n.get_linestyle() for n in drawn] == [dashes] * 4


def test_figure2_names_its_axes_with_units(quick_store: Store) -> None:
    (ax,) = draw("figure2", quick_store).axes
    assert ax.get_xlabel() == "epoch"
    assert ax.get_ylabel() == r"$\mathcal{L}_1$ (nats per example)"


def test_figure2_legend_holds_variants_and_both_sets(quick_store: Store) -> None:
    assert legend_labels(draw("figure2", quick_store)) == [*LABELS, "train", "test"]


def test_figure2_marks_a_missing_variant(tmp_path: Path) -> None:
    store = fixture_store.build(tmp_path, runs=others("vae_bn"))
    assert "VAE+BN (not run)" in legend_labels(draw("figure2", store))


def test_figure2_shows_every_value_after_the_warm_up(reduced_store: Store) -> None:
    (ax,) = draw("figure2", reduced_store, "reduced").axes
    low, high = ax.get_ylim()
    warmup = profiles.profile("reduced").schedule.warmup_epochs
    for drawn in ax.lines:
        late = np.asarray(drawn.get_ydata())[np.asarray(drawn.get_xdata()) > warmup]
        assert np.all((late > low) & (late < high))


def test_figure2_says_that_the_warm_up_is_cut(quick_store: Store) -> None:
    assert "from the first epochs, lie below the axis" in caption(draw("figure2", quick_store))


@pytest.mark.parametrize("profile", ["quick", "reduced"])
def test_figure2_has_no_empty_part(profile: str, request: pytest.FixtureRequest) -> None:
    """A curve is visible within the first tenth of the axis, and every one ends in the last."""
    (ax,) = draw("figure2", request.getfixturevalue(f"{profile}_store"), profile).axes
    (left, right), low = ax.get_xlim(), ax.get_ylim()[0]
    x = np.linspace(left, left + 0.1 * (right - left))
    assert any((np.interp(x, n.get_xdata(), n.get_ydata()) >= low).any() for n in ax.lines)
    assert all(n.get_xdata()[-1] > right - 0.1 * (right - left) for n in ax.lines)


def test_figure2_tells_variants_apart_without_colour(quick_store: Store) -> None:
    (ax,) = draw("figure2", quick_store).axes
    assert len({(n.get_marker(), n.get_linestyle()) for n in ax.lines}) == 8


def test_figure2_band_is_one_standard_deviation(reduced_store: Store) -> None:
    (ax,) = draw("figure2", reduced_store, "reduced").axes
    drawn = line(ax, "L1_train", style.COLOURS["vae"])
    records = fixture_store.seeds(reduced_store, "reduced", run_of("vae", profile="reduced"))
    last = [r.curve()["L1_train"].iloc[-1] for r in records]
    edge = bands(ax)[0].get_paths()[0].vertices
    top = max(y for x, y in edge if x == 40)
    assert len(bands(ax)) == 8
    np.testing.assert_allclose(drawn.get_ydata()[-1], np.mean(last))
    np.testing.assert_allclose(top, np.mean(last) + np.std(last, ddof=1))


def test_figure2_has_no_band_with_one_seed(quick_store: Store) -> None:
    assert bands(draw("figure2", quick_store).axes[0]) == []


# Figure 3


@pytest.mark.parametrize(("panel", "metric"), list(enumerate(["L1_train", "L1_test", "LK_test"])))
def test_figure3_draws_the_mean_of_the_saved_bounds(
    reduced_store: Store, panel: int, metric: str
) -> None:
    ax = draw("figure3", reduced_store, "reduced").axes[panel]
    for variant in VARIANTS:
        found = {
            d: fixture_store.seeds(reduced_store, "reduced", run_of(variant, d, "reduced"))
            for d in range(2 if variant == "lvae_bn_wu" else 1, 6)
        }
        means = [np.mean([r.final[metric] for r in rs]) for rs in found.values()]
        drawn = np.asarray(line(ax, variant).get_ydata())
        np.testing.assert_allclose(drawn[-len(means) :], means)
        assert np.isnan(drawn[: 5 - len(means)]).all()


def test_figure3_has_three_titles_that_differ(reduced_store: Store) -> None:
    figure = draw("figure3", reduced_store, "reduced")
    assert {a.get_title() for a in figure.axes} - {""} == {
        r"(a) training set, $\mathcal{L}_1$",
        r"(b) test set, $\mathcal{L}_1$",
        r"(c) test set, $\mathcal{L}_{500}$",
    }
    assert {a.get_xlabel() for a in figure.axes[:3]} == {"number of layers"}
    assert figure.get_supylabel() == "bound (nats per example)"


PUBLISHED = [
    (1, "text/L1_test/lvae5", 5),
    (1, "text/L1_test/vae3", 3),
    (2, "text/L5000_test/lvae5", 5),
]


@pytest.mark.parametrize("far", [0.0, -0.4, -20.0])
@pytest.mark.parametrize(("panel", "target", "depth"), PUBLISHED)
def test_published_values_are_lines_before_the_curves(
    tmp_path: Path, panel: int, target: str, depth: int, far: float
) -> None:
    """Whether ours lie around the published value or far below it, where it gets a strip."""
    name = ("L1_train", "L1_test", "LK_test")[panel]
    value = TARGETS[target].paper
    store = Store(tmp_path)
    for d in (2, 5):
        fixture_store.write(
            store, "reduced", run_of("vae", d, "reduced"), **{name: value + far - 0.1 * d}
        )
    figure = draw("figure3", store, "reduced")
    (ax,) = [a for a in figure.axes if any(n.get_gid() == target for n in a.lines)]
    shown = line(ax, target)
    assert (ax in figure.axes[:3]) == (far > -1)
    assert set(shown.get_ydata()) == {value}
    assert np.mean(shown.get_xdata()) == pytest.approx(depth, abs=0.4)
    assert ax.get_ylim()[0] < value < ax.get_ylim()[1]
    assert all(shown.zorder > n.zorder for n in ax.lines if n.get_gid() in VARIANTS)


def test_the_published_best_vae_is_a_line_across_with_its_name(reduced_store: Store) -> None:
    figure = draw("figure3", reduced_store, "reduced")
    (ax,) = [a for a in figure.axes if any("best VAE" in t.get_text() for t in a.texts)]
    assert list(line(ax, "text/L5000_test/vae_best").get_ydata()) == [-82.74, -82.74]


@pytest.mark.parametrize(
    ("values", "cut"),
    [  # of VAEs of depth 1 to 5
        ((-97.0, -94.3, -92.5, -92.2, -92.0), {-97.0}),  # the shallowest lies below all others
        ((-92.3, -93.0, -92.5, -92.2, -92.0), set()),
        ((-92.3, -92.1, -120.0, -92.2, -92.0), {-120.0}),  # an outlier
        ((-97.0, -92.1, -120.0, -92.2, -92.0), {-97.0, -120.0}),
        ((-92.0,) * 5, set()),
        ((-97.0, -92.0), set()),  # else one point would be left of a curve
        ((-92.0,), set()),
    ],
)
def test_a_cut_axis_shows_what_it_cuts_by_its_value(
    tmp_path: Path, values: tuple[float, ...], cut: set[float]
) -> None:
    store = Store(tmp_path)
    for depth, value in enumerate(values, start=1):
        fixture_store.write(store, "reduced", run_of("vae", depth, "reduced"), L1_train=value)
    figure = draw("figure3", store, "reduced")
    ax = figure.axes[0]
    said = {t.get_text() for t in ax.texts if t.get_gid() == "below"}
    assert said == {f"↓ −{-v:.2f}" for v in cut}
    zone = [p.get_extents().y1 for p in ax.patches if p.get_gid() == "zone"]
    visible = zone[0] if zone else ax.get_window_extent().y0
    heights = {v: ax.transData.transform((1, v))[1] for v in values}
    assert all((h > visible) == (v not in cut) for v, h in heights.items())
    assert ("The axes are cut" in caption(figure)) == bool(cut)


def test_curves_of_one_depth_stand_side_by_side(reduced_store: Store) -> None:
    ax = draw("figure7", reduced_store, "reduced").axes[0]
    places = [float(np.asarray(n.get_xdata())[1]) for n in ax.lines if n.get_gid() in style.COLOURS]
    assert len(places) == 5
    assert np.diff(sorted(places)).min() > 0.1
    assert np.abs(np.array(places) - 2).max() < 0.4


def test_figure3_says_when_k_differs_from_the_papers(quick_store: Store) -> None:
    assert "(in (c) L_5000, ours L_500)" in caption(draw("figure3", quick_store))


def test_figure3_names_the_depths_that_were_not_run(quick_store: Store) -> None:
    assert (
        "Not run: VAE, VAE+BN, VAE+BN+WU of depth 1, 2, 3, 4; LVAE+BN+WU of depth 2, 3, 4."
        in caption(draw("figure3", quick_store))
    )


def test_figure3_leaves_a_gap_at_a_missing_depth(tmp_path: Path) -> None:
    runs = [run_of("vae", d, "reduced") for d in (1, 2, 4)]
    store = fixture_store.build(tmp_path, "reduced", runs=runs)
    drawn = np.asarray(line(draw("figure3", store, "reduced").axes[0], "vae").get_ydata())
    assert np.isnan(drawn).tolist() == [False, False, True, False, True]


def whiskers(figure: Figure, panel: int) -> dict[str, np.ndarray]:
    """Half the length of each error bar of a panel, by what it is of."""
    bars = [c for c in figure.axes[panel].containers if isinstance(c, ErrorbarContainer)]
    ends = {str(c.get_label()): np.array(c.lines[2][0].get_segments())[:, :, 1] for c in bars}
    return {name: np.diff(e, axis=1)[:, 0] / 2 for name, e in ends.items()}


@pytest.mark.parametrize(("panel", "metric"), list(enumerate(["L1_train", "L1_test", "LK_test"])))
def test_whiskers_are_the_spread_over_seeds(reduced_store: Store, panel: int, metric: str) -> None:
    figure = draw("figure3", reduced_store, "reduced")
    bars = whiskers(figure, panel)
    assert {f"error {v}" for v in VARIANTS} == set(bars) - {"error over images"}
    found = [
        fixture_store.seeds(reduced_store, "reduced", run_of("vae", d, "reduced"))
        for d in range(1, 6)
    ]
    spread = [np.std([r.final[metric] for r in rs], ddof=1) for rs in found]
    np.testing.assert_allclose(bars["error vae"], spread, atol=1e-9)
    assert "Whiskers: one standard deviation over seeds." in caption(figure)


def test_of_one_seed_whiskers_are_the_monte_carlo_error_of_l_k(quick_store: Store) -> None:
    figure = draw("figure3", quick_store)
    assert [set(whiskers(figure, i)) - {"error over images"} for i in (0, 1)] == [set(), set()]
    np.testing.assert_allclose(whiskers(figure, 2)["error vae"], [0.02])
    assert "Whiskers in (c), mostly smaller than the markers" in caption(figure)


@pytest.mark.parametrize(("panel", "name"), [(1, "L1_se"), (2, "LK_se")])
def test_the_error_over_images_is_said_beside_the_curves(
    quick_store: Store, panel: int, name: str
) -> None:
    ax = draw("figure3", quick_store).axes[panel]
    largest = max(quick_store.record("quick", run_of(v).id).final[name] for v in VARIANTS)
    (said,) = [t.get_text() for t in ax.texts if t.get_gid() == "error over images"]
    assert said == f"images ±{largest:.2f}"


def test_errors_that_a_record_lacks_are_left_out(empty_store: Store) -> None:
    nothing = {"L1_se": None, "LK_se": None, "LK_mc_error": None}
    fixture_store.write(empty_store, "quick", run_of("vae"), **nothing)
    figure = draw("figure3", empty_store)
    assert [whiskers(figure, panel) for panel in range(3)] == [{}, {}, {}]
    assert "Grey bars" not in caption(figure)


def test_figure3_refuses_a_record_without_its_bound(empty_store: Store) -> None:
    fixture_store.write(empty_store, "quick", run_of("vae"), LK_test="-82")
    with pytest.raises(RecordError, match=r"final\.json: LK_test is '-82'"):
        draw("figure3", empty_store)


# Figure 5


def bar_groups(figure: Figure) -> dict[str, BarContainer]:
    containers = figure.axes[0].containers
    return {c.get_label(): c for c in containers if isinstance(c, BarContainer)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_figure5_bars_are_the_saved_layers(quick_store: Store, variant: str) -> None:
    bars = bar_groups(draw("figure5", quick_store))[variant]
    saved = quick_store.record("quick", run_of(variant).id).final["kl_layers"]
    np.testing.assert_allclose([bar.get_height() for bar in bars], saved)


def test_figure5_draws_the_mean_and_spread_of_seeds(reduced_store: Store) -> None:
    group = bar_groups(draw("figure5", reduced_store, "reduced"))["lvae_bn_wu"]
    saved = [
        r.final["kl_layers"]
        for r in fixture_store.seeds(
            reduced_store, "reduced", run_of("lvae_bn_wu", profile="reduced")
        )
    ]
    np.testing.assert_allclose([bar.get_height() for bar in group], np.mean(saved, axis=0))
    assert isinstance(group.errorbar, ErrorbarContainer)
    whiskers = group.errorbar.lines[2][0].get_segments()
    half = [(top - bottom) / 2 for (_, bottom), (_, top) in whiskers]
    np.testing.assert_allclose(half, np.std(saved, axis=0, ddof=1), atol=1e-12)


def test_figure5_has_no_whiskers_with_one_seed(quick_store: Store) -> None:
    assert {g.errorbar for g in bar_groups(draw("figure5", quick_store)).values()} == {None}


def test_figure5_says_that_one_seed_has_no_error(quick_store: Store, reduced_store: Store) -> None:
    assert "No whiskers: records hold no error" in caption(draw("figure5", quick_store))
    assert "No whiskers" not in caption(draw("figure5", reduced_store, "reduced"))


def test_figure5_gives_every_bar_its_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fixture_store.write(store, "quick", run_of("vae"), kl_layers=[20.04, 1.0, -0.04, 0.0, -0.26])
    said = [t.get_text() for t in draw("figure5", store).axes[0].texts]
    assert said == ["20.0", "1.0", "0.0", "0.0", "−0.3"]


def test_figure5_has_the_papers_axis(quick_store: Store) -> None:
    ax = draw("figure5", quick_store).axes[0]
    assert ax.get_ylim() == (0, 25)
    assert ax.get_ylabel() == "KL of layer $i$ (nats per example)"
    assert [t.get_text() for t in ax.get_xticklabels()] == [f"$i={i}$" for i in range(1, 6)]


def test_figure5_makes_room_for_larger_values(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fixture_store.write(store, "quick", run_of("vae"), kl_layers=[40.0, 1.0, 0.0, 0.0, 0.0])
    assert draw("figure5", store).axes[0].get_ylim()[1] == pytest.approx(42)


def test_figure5_counts_layers_below_zero(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fixture_store.write(store, "quick", run_of("vae"), kl_layers=[20.0, 1.0, -0.1, 0.0, -0.2])
    assert "Estimates below zero, not visible: 2." in caption(draw("figure5", store))


def test_figure5_orders_variants_as_the_paper(quick_store: Store) -> None:
    assert legend_labels(draw("figure5", quick_store)) == LABELS


def test_figure5_marks_a_missing_variant(tmp_path: Path) -> None:
    figure = draw("figure5", fixture_store.build(tmp_path, runs=others("vae")))
    assert legend_labels(figure)[0] == "VAE (not run)"
    assert len(bar_groups(figure)["vae"]) == 0


def test_figure5_keeps_the_colour_of_a_missing_variant(tmp_path: Path) -> None:
    legend = draw("figure5", fixture_store.build(tmp_path, runs=others("vae"))).axes[0].get_legend()
    assert legend is not None
    assert to_hex(legend.legend_handles[0].get_facecolor()) == style.COLOURS["vae"]
