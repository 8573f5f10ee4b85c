"""All figures, from synthetic records: which are drawn, gaps are named, nothing is cut off."""

import io
import sys
from dataclasses import replace

import fixture_store
import numpy as np
import pytest
from commands import QUICK, one_line, refusal, told
from figure_reader import assert_nothing_is_cut_off, caption, heights, legend_labels, style, texts
from fixture_figures import NAMES, captions, draw, draw_of, run_of
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.patches import Patch
from PIL import Image

from repro.plan import profiles
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import VARIANTS, Cell
from repro.show import gallery, layout, output, scripts
from repro.show.panels import ladder as panels
from repro.store import Store
from repro.store.places import ROOT

SINGLE = ("figure4", "figure6", "figure9", "figure10")  # which draw one training of a model
DEEP = [run_of(v) for v in ("vae", "lvae_bn_wu")]  # of quick: five epochs
OMNIGLOT = Cell("omniglot", "lvae_bn_wu", 5)
CELLS = {"figure8": OMNIGLOT, "figure10": OMNIGLOT, "ladder": ladder.cell("full")}
CELLS = {name: CELLS.get(name, Cell("mnist", "lvae_bn_wu", 5)) for name in NAMES}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """Of a cell of each figure seed 1 diverged, and seed 2 has another learning rate."""
    store = Store(tmp_path_factory.mktemp("troubled"))
    for cell in set(CELLS.values()):
        first, second = (profiles.run_of(cell, QUICK, seed) for seed in (1, 2))
        fixture_store.diverge(store, "quick", first, epoch=3)
        second = replace(second, optim=replace(second.optim, lr=0.5))
        fixture_store.write(store, "quick", second)
    return store


@pytest.mark.parametrize("name", NAMES)
def test_the_caption_names_protocol_profile_and_seeds_and_what_does_not_count(name, troubled):
    title = f"Figure {name.removeprefix('figure')}"
    profile = "5 epochs, N_t = 2, L_500 on 1,000 images, 5-layer models only"
    if name == "ladder":
        title, profile = "Ladder networks with 100 labels, MNIST", "2 epochs"
    said = caption(draw(name))
    assert said.startswith(f"{title} (reduced protocol, not a reproduction). ")
    assert said.endswith(f"Profile quick ({profile}). 1 seed.")
    seeds = "1 seed." if name in SINGLE else "2 seeds."
    assert caption(draw(name, "reduced")).endswith(seeds)
    empty, other = draw(name, "paper"), draw_of(name, troubled)
    for figure, state in ((empty, "not run"), (other, "diverged at epoch 3")):
        assert any(state in text for text in legend_labels(figure) + texts(figure))
        assert "No finished Run." in caption(figure)
    assert "reduced" not in caption(empty), "the published protocol carries no such label"
    run = profiles.run_of(CELLS[name], QUICK)
    assert f"Diverged at epoch 3, not counted: {run.id}." in caption(other)
    assert f"Other configuration, not counted: {run.with_seed(2).id}." in caption(other)


def test_replicates_are_averaged_in_curves_and_else_the_first_is_named(tmp_path):
    runs = [run_of(name) for name in ("lvae_bn_wu", "lvae_bn_wu@again2")]
    store = fixture_store.build(tmp_path, runs=runs)
    ends = [store.record("quick", run.id).final["L1_test"] for run in runs]
    assert ends[0] != ends[1]
    drawn = heights(draw_of("figure2", store).axes[0], "L1_test", style.COLOURS["lvae_bn_wu"])
    assert drawn[-1] == pytest.approx(sum(ends) / 2)
    said = caption(draw_of("figure4", store))
    assert "Shown: the first training of the lowest finished seed." in said


def test_the_curve_of_k_names_what_it_does_not_show(tmp_path):
    store, curve = Store(tmp_path), {"k": [1, 5], "bound": [-90.0, -88.0], "se": [0.3, 0.2]}
    fixture_store.write(store, "quick", run_of("lvae_bn_wu"), LK_curve=curve)
    fixture_store.diverge(store, "quick", run_of("vae"), epoch=3)
    said = caption(draw_of("lk_curve", store))
    assert "1 seed. Diverged at epoch 3, not counted: mnist-vae-L5-s1." in said
    assert "Not run: VAE+BN, VAE+BN+WU of depth 5." in said
    assert "Standard error over images, which the models share: at most 0.30 nats." in said


def test_a_rebuilt_data_set_is_called_other_data(tmp_path):
    env, run = {"data": {"version": "rebuilt"}}, run_of("lvae_bn_wu", data="omniglot")
    fixture_store.write(Store(tmp_path), "quick", run, env=env)
    for name in ("figure8", "figure10"):
        said = caption(draw_of(name, Store(tmp_path)))
        assert "Ours is on rebuilt OMNIGLOT: other data than the paper's." in said
        assert "other data" not in caption(draw(name))


@pytest.mark.parametrize("profile", ["quick", "reduced", "paper"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "figure10"])  # as figure9
def test_nothing_is_cut_off_or_covers_the_caption(name, profile):
    assert_nothing_is_cut_off(draw(name, profile))


@pytest.mark.parametrize("name", ["figure2", "figure3", "figure5"])
def test_a_variant_has_one_colour_in_all_figures(name):
    figure = draw(name)
    legend = (figure.legends or [figure.axes[0].get_legend()])[0]
    patches = [h.get_facecolor() for h in legend.legend_handles if isinstance(h, Patch)]
    colours = patches or [h.get_color() for h in legend.legend_handles]
    shown = dict(zip(legend_labels(figure), map(to_hex, colours), strict=True))
    expected = {v.label: style.COLOURS[name] for name, v in VARIANTS.items()}
    assert {label: shown[label] for label in expected} == expected


def test_saved_files_have_200_dots_an_inch_and_no_date_and_the_page_s_lose_nothing(tmp_path):
    figure = draw("figure5")
    png, pdf = style.save(figure, tmp_path / "figure5")
    height, width = imread(png).shape[:2]
    np.testing.assert_allclose((width, height), 200 * figure.get_size_inches(), atol=1)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in pdf.read_bytes()
    page, plain = Image.open(io.BytesIO(style.webp(figure))), Image.open(png)
    assert page.convert("RGB").tobytes() == plain.convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "repro: interrupted"),
        (OSError(28, "No space left"), 3, "repro: output: cannot write (No space left)"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_a_script_that_is_cut_off_ends_with_one_line_or_none(
    fault, code, said, monkeypatch, capsys
):
    def script() -> None:
        raise fault

    monkeypatch.setattr(sys, "argv", ["script"])
    monkeypatch.setattr(output, "drop", lambda _: None)
    assert output.ended(script) == code
    assert capsys.readouterr().err.strip() == said


def test_labels_of_costs_that_end_alike_do_not_cover_each_other():
    heights = panels.apart({0: 1.0, 1: 1.01, 2: 5.0}, (0.1, 10.0))
    assert heights == pytest.approx({0: 1.0, 1: 100**panels.GAP, 2: 5.0})


@pytest.mark.parametrize(
    ("store", "profile", "code", "said"),
    [
        ("nowhere", "quick", 3, "nowhere"),
        (".", "fast", 2, "unknown profile 'fast'"),
        ("", "quick", 2, "--store '': empty"),
    ],
)
@pytest.mark.parametrize("shared", [style, layout], ids=["figures", "tables"])
def test_a_script_ends_with_one_line_and_a_code(
    shared, store, profile, code, said, monkeypatch, capsys
):
    script = str(ROOT / "figures" / "figure5.py")
    monkeypatch.setattr(sys, "argv", [script, "--store", store, "--profile", profile])
    with pytest.raises(SystemExit) as ended:
        shared.main(lambda *_: pytest.fail("drawn"), script)
    assert ended.value.code == code
    assert said in one_line(capsys)


@pytest.mark.parametrize("profile", ["reduced", "smoke"])
def test_a_script_draws_the_profile_that_the_store_holds(profile, tmp_path, monkeypatch, capsys):
    store = fixture_store.build(tmp_path, profile)
    monkeypatch.setattr(sys, "argv", [script := "figures/figure5.py", "--store", str(store.root)])
    scripts.main(script, lambda _, drawn, stem: f"{drawn}: {stem.parents[1]}")
    assert capsys.readouterr().out == f"{profile}: {store.root / profile}\n"


def test_a_caption_keeps_an_equation_on_one_line_and_sets_its_subscript():
    lines = captions.wrapped("a word and N_t = 200, then more words follow here", 1.0)
    assert len(lines) > 1
    assert any("N_t = 200," in line for line in lines)
    (text,) = draw("figure5").texts
    assert r"$\mathit{N}_{t}$ = 2" in text.get_text()


def ladder_run(profile, variant="full"):
    return profiles.run_of(ladder.cell(variant), profiles.profile(profile))


@pytest.mark.parametrize(
    ("profile", "runs", "kept"),
    [
        ("quick", [], set()),
        ("quick", DEEP, {"figure2", "figure4", "figure5", "figure6", "figure9"}),
        ("quick", [run_of("lvae_bn_wu", data="omniglot")], {"figure10"}),
        ("smoke", [run_of("vae", profile="smoke")], {"figure5", "figure6"}),  # two epochs
        ("reduced", [run_of("vae", d, "reduced") for d in (1, 2)], {"figure3", "figure7"}),
        # One depth each of two variants are points, no curve.
        ("reduced", [run_of("vae", 1, "reduced"), run_of("vae_bn", 2, "reduced")], set()),
        ("reduced", [run_of("lvae_wu", d, "reduced") for d in (2, 3)], {"figure7"}),
        ("quick", [ladder_run("quick")], set()),
        ("reduced", [ladder_run("reduced")], {"ladder"}),
        ("reduced", [ladder_run("reduced", "kzky")], set()),  # of a variant that it does not show
    ],
)
def test_a_figure_that_holds_too_little_is_left_out(tmp_path, profile, runs, kept):
    without = gallery.left_out(fixture_store.build(tmp_path, profile, runs=runs), profile)
    assert set(scripts.names("figures")) - set(without) == kept
    assert all(without.values())


def test_figures_left_out_are_named_and_what_lay_there_of_them_is_removed(tmp_path, capsys):
    store = fixture_store.build(tmp_path, runs=[run_of("lvae_bn_wu", data="omniglot")])
    command = ("figures", "--store", str(store.root), "--profile", "quick")
    out = tmp_path / "quick" / "figures"
    out.mkdir()
    for name in ("figure8.png", "figure8.pdf", "mine.png"):
        (out / name).touch()
    told(capsys, *command, "--out", str(out / ".." / "figures"))  # a folder of the user's own
    assert (out / "figure8.png").exists()
    (line,) = [n for n in told(capsys, *command).splitlines() if n.startswith("not drawn: ")]
    assert {p.name for p in out.iterdir()} == {"figure10.png", "figure10.pdf", "mine.png"}
    assert "figure8 (depths of a variant: 1, needed: 2)" in line
    assert "figure9, ladder, lk_curve (no finished Run)" in line


def test_nothing_drawn_at_all_is_no_success(tmp_path, capsys):
    store = fixture_store.build(tmp_path, runs=[ladder_run("quick")])
    said = refusal(capsys, "figures", "--store", str(store.root), "--profile", "quick")
    assert "ladder (evaluated epochs: 2, needed: 3)" in said
