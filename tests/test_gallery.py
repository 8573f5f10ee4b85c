"""Which figures are drawn of a profile: those that hold enough; the others are named, not kept."""

import fixture_store
import pytest
from fixture_figures import run_of

from repro.cli import run
from repro.plan import profiles
from repro.plan.experiments.ladder import cell
from repro.plan.run import Run
from repro.show import gallery, scripts

NAMES = set(scripts.names("figures"))
DEEP = [run_of(v) for v in ("vae", "lvae_bn_wu")]  # of quick: five epochs


def ladder(profile: str, variant: str = "full") -> Run:
    return profiles.run_of(cell(variant), profiles.profile(profile))


@pytest.mark.parametrize(
    ("profile", "runs", "kept"),
    [
        ("quick", [], set()),
        ("quick", DEEP, {"figure2", "figure4", "figure5", "figure6", "figure9"}),
        ("quick", [run_of("lvae_bn_wu", data="omniglot")], {"figure10"}),
        ("smoke", [run_of("vae", profile="smoke")], {"figure5", "figure6"}),  # two epochs
        ("reduced", [run_of("vae", d, "reduced") for d in (1, 2)], {"figure3", "figure7"}),
        (  # one depth each of two variants: points, no curve
            "reduced",
            [run_of("vae", 1, "reduced"), run_of("vae_bn", 2, "reduced")],
            set(),
        ),
        ("reduced", [run_of("lvae_wu", d, "reduced") for d in (2, 3)], {"figure7"}),
        ("quick", [ladder("quick")], set()),
        ("reduced", [ladder("reduced")], {"ladder"}),
        ("reduced", [ladder("reduced", "kzky")], set()),  # of a variant that it does not show
    ],
)
def test_a_figure_that_holds_too_little_is_left_out(tmp_path, profile, runs, kept):
    store = fixture_store.build(tmp_path, profile, runs=runs)
    without = gallery.left_out(store, profile)  # of each, as its NEEDS say
    assert NAMES - set(without) == kept
    assert all(without.values())


def test_figures_left_out_are_named_and_what_lay_there_of_them_is_removed(tmp_path, capsys):
    store = fixture_store.build(tmp_path, runs=[run_of("lvae_bn_wu", data="omniglot")])
    out = tmp_path / "quick" / "figures"
    out.mkdir()
    for name in ("figure8.png", "figure8.pdf", "mine.png"):
        (out / name).touch()
    assert run(["figures", "--store", str(store.root), "--profile", "quick"]) == 0
    assert {p.name for p in out.iterdir()} == {"figure10.png", "figure10.pdf", "mine.png"}
    (line,) = [n for n in capsys.readouterr().out.splitlines() if n.startswith("not drawn: ")]
    assert "figure8 (depths of a variant: 1, needed: 2)" in line
    assert "figure9, ladder, lk_curve (no finished Run)" in line


def test_nothing_drawn_at_all_is_no_success(tmp_path, capsys):
    store = fixture_store.build(tmp_path, runs=[ladder("quick")])
    assert run(["figures", "--store", str(store.root), "--profile", "quick"]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ladder (evaluated epochs: 2, needed: 3)" in said
