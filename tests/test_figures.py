"""All figures, from synthetic records: gaps are named, nothing is cut off, files are right."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import fixture_figures
import fixture_store
import matplotlib
import numpy as np
import pytest
from fixture_figures import (
    LABELS,
    NAMES,
    caption,
    captions,
    data_of,
    draw,
    legend_labels,
    others,
    run_of,
    style,
    texts,
)
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text

from repro.errors import UsageError
from repro.plan.experiments.grid import VARIANTS
from repro.show import scripts
from repro.store import Store
from repro.store.places import ROOT

quick_store = fixture_figures.quick_store
reduced_store = fixture_figures.reduced_store
empty_store = fixture_figures.empty_store


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_store_draws_and_says_not_run(name: str, empty_store: Store) -> None:
    figure = draw(name, empty_store)
    said = legend_labels(figure) + texts(figure)
    assert any("not run" in text for text in said)
    assert "No finished Run." in caption(figure)


@pytest.mark.parametrize("name", NAMES)
def test_the_caption_names_profile_and_seeds(name: str, quick_store: Store) -> None:
    assert caption(draw(name, quick_store)).endswith(
        "Profile quick (5 epochs, N_t = 2, L_500 on 1,000 images, 5-layer models only). 1 seed."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_reduced_profile_is_no_reproduction(name: str, quick_store: Store) -> None:
    number = name.removeprefix("figure")
    start = f"Figure {number} (reduced protocol, not a reproduction). "
    assert caption(draw(name, quick_store)).startswith(start)


@pytest.mark.parametrize("name", NAMES)
def test_the_published_protocol_carries_no_such_label(name: str, empty_store: Store) -> None:
    assert "reduced" not in caption(draw(name, empty_store, "paper"))


@pytest.mark.parametrize("name", NAMES)
def test_two_seeds_are_counted(name: str, reduced_store: Store) -> None:
    assert caption(draw(name, reduced_store, "reduced")).endswith("2 seeds.")


@pytest.mark.parametrize("name", NAMES)
def test_a_diverged_run_is_said_with_its_epoch(name: str, tmp_path: Path) -> None:
    data = data_of(name)
    store = fixture_store.build(tmp_path, runs=others("lvae_bn_wu", data))
    fixture_store.diverge(store, "quick", run_of("lvae_bn_wu", data=data), epoch=3)
    figure = draw(name, store)
    assert any("diverged at epoch 3" in t for t in legend_labels(figure) + texts(figure))
    assert f"Diverged at epoch 3, not counted: {data}-lvae_bn_wu-L5-s1." in caption(figure)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_of_another_configuration_is_not_drawn(name: str, empty_store: Store) -> None:
    run = run_of("lvae_bn_wu", data=data_of(name))
    fixture_store.write(empty_store, "quick", replace(run, optim=replace(run.optim, lr=0.01)))
    assert f"Other configuration, not counted: {run.id}" in caption(draw(name, empty_store))


@pytest.mark.parametrize("profile", ["quick", "reduced", "empty"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_or_covers_the_caption(
    name: str, profile: str, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue(f"{profile}_store")
    figure = draw(name, store, "quick" if profile == "empty" else profile)
    canvas = FigureCanvasAgg(figure)
    with matplotlib.rc_context(style.LOOK):
        canvas.draw()
        renderer = canvas.get_renderer()
        (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
        below = text.get_window_extent(renderer)
        boxes = [a.get_tightbbox(renderer) for a in figure.axes]
        boxes += [n.get_window_extent(renderer) for n in figure.legends]
    page = figure.bbox
    for box in (*boxes, below):
        assert box.x0 >= page.x0 - 0.5
        assert box.x1 <= page.x1 + 0.5
        assert box.y0 >= page.y0 - 0.5
        assert box.y1 <= page.y1 + 0.5
    assert all(box.y0 >= below.y1 for box in boxes)


@pytest.mark.parametrize("name", NAMES)
def test_drawing_leaves_the_callers_settings_alone(name: str, quick_store: Store) -> None:
    before = dict(matplotlib.rcParams)
    scripts.load("figures", name).draw(quick_store, "quick")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_profile_is_wrong_usage(name: str, empty_store: Store) -> None:
    with pytest.raises(UsageError, match="unknown profile 'fast'"):
        draw(name, empty_store, "fast")


@pytest.mark.parametrize("name", ["figure2", "figure3", "figure5"])
def test_a_variant_has_one_colour_in_all_figures(name: str, quick_store: Store) -> None:
    figure = draw(name, quick_store)
    legend = (figure.legends or [figure.axes[0].get_legend()])[0]
    shown = {}
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        colour = handle.get_color() if isinstance(handle, Line2D) else handle.get_facecolor()
        shown[text.get_text()] = to_hex(colour)
    expected = {v.label: style.COLOURS[name] for name, v in VARIANTS.items()}
    assert {label: shown[label] for label in LABELS} == expected


# Files and command line


def test_a_saved_png_has_200_dots_an_inch(quick_store: Store, tmp_path: Path) -> None:
    figure = draw("figure5", quick_store)
    png, _ = style.save(figure, tmp_path / "figure5")
    height, width = imread(png).shape[:2]
    expected = 200 * figure.get_size_inches()
    np.testing.assert_allclose((width, height), expected, atol=1)


def test_a_saved_pdf_holds_no_date(quick_store: Store, tmp_path: Path) -> None:
    _, pdf = style.save(draw("figure5", quick_store), tmp_path / "figure5")
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"CreationDate" not in content


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--store", "nowhere"), 3), (("--store", ".", "--profile", "fast"), 2)],
)
def test_a_script_ends_with_one_line_and_the_exit_code(
    arguments: tuple[str, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = ROOT / "figures" / "figure5.py"
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    assert style.main(scripts.load("figures", "figure5").draw, str(script)) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_caption_lines_keep_an_equation_together() -> None:
    lines = captions.wrapped("a word and N_t = 200, then more words follow here", 1.0)
    assert len(lines) > 1
    assert any("N_t = 200," in line for line in lines)


def test_a_caption_is_mathematics_only_where_it_has_subscripts(quick_store: Store) -> None:
    (text,) = [t for t in draw("figure5", quick_store).texts if isinstance(t, Text)]
    assert r"$\mathit{N}_{t}$ = 2" in text.get_text()
