"""`repro publish`: from runs/ to results/, its page and the README."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import fixture_store
import pytest
from commands import LVAE, QUICK, VAE, one_line, quick_run

from repro import store as stores
from repro.cli import publish as publishing
from repro.cli import run
from repro.plan.profiles import chosen, profile, runs
from repro.show import gallery, layout, results
from repro.store import Store
from repro.store.places import ROOT


@pytest.fixture
def readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A README that is not the checkout's; figures and tables are not drawn."""
    path = tmp_path / "README.md"
    path.write_text(f"# Top\n{publishing.BEGIN}\nold\n{publishing.END}\nEnd\n", encoding="utf-8")
    monkeypatch.setattr(publishing, "ROOT", tmp_path)
    for shared in (layout, gallery):
        monkeypatch.setattr(shared, "render_all", lambda *_: [])
    return path


def test_publish_copies_records_as_they_are(full, readme):
    assert run(["publish", "--profile", "quick"]) == 0
    copied = Store(stores.NAMED["results"]).record("quick", LVAE)
    assert copied.final == full.record("quick", LVAE).final


def test_publish_takes_what_was_scored_again_and_leaves_the_rest_alone(full, readme):
    target = Store(stores.NAMED["results"])
    publishing.copy_finished(full, target, QUICK)
    before = {p: p.stat().st_ino for p in target.root.rglob("*") if p.is_file()}
    full.add(full.record("quick", LVAE), {}, {"L1_test": -1.0}, {})
    assert run(["publish", "--profile", "quick"]) == 0
    assert target.record("quick", LVAE).final["L1_test"] == -1.0
    assert target.record("quick", LVAE).sums == full.record("quick", LVAE).sums
    others = [p for p in before if p.parent.name != LVAE]
    assert [p.stat().st_ino for p in others] == [before[p] for p in others]


def test_publish_redraws_tables_and_figures_in_results(full, readme, monkeypatch):
    drawn = []
    for shared in (layout, gallery):
        monkeypatch.setattr(shared, "render_all", lambda *asked: drawn.append(asked) or [])
    assert run(["publish", "--profile", "quick"]) == 0
    assert [place.name for *_, place in drawn] == ["tables", "figures"]
    assert {store.root for store, *_ in drawn} == {stores.NAMED["results"]}


def test_every_row_of_what_is_published_ends_with_a_command_that_names_its_runs(
    full, readme, capsys
):
    fixture_store.build(full.root, "quick", runs=runs(QUICK, ["omniglot", "ladder", "ablations"]))
    assert run(["publish", "--profile", "quick"]) == 0
    said, page = capsys.readouterr().out, stores.NAMED["results"] / "README.md"
    for path, least in ((page, 60), (readme, 5)):
        assert f"{path}: results up to date" in said
        rows = re.findall(r"^\| (.+) \| (.+) \|$", path.read_text(encoding="utf-8"), re.MULTILINE)
        made = [row for row in rows if row[1] not in ("made by", ":---")]
        commands = [end.strip("`").split() for _, end in made if end != "–"]
        assert all(chosen(QUICK, command[2:-2]) for command in commands)
        assert len(commands) == len(made) - 1 >= least  # one model is quoted alone
    text = page.read_text(encoding="utf-8")
    assert all(f"`{r.id}`" in text for r in runs(QUICK))
    assert "no reproduction" in text


def test_a_page_has_table_2_and_figures_of_omniglot_where_there_are_runs(full):
    assert "figure10.png" not in results.page(full, QUICK)
    fixture_store.build(full.root, "quick", runs=runs(QUICK, ["omniglot"]))
    page = results.page(full, QUICK)
    assert all(part in page for part in ("**Table 2", "figure10.png"))
    assert "figure7.png" not in page
    assert "figure8.png" not in page  # one depth is no curve


def test_a_first_run_of_the_published_protocol_leaves_the_readme_its_table(full, readme):
    """What a profile has so far stands in full on the page, and in one line of the README."""
    assert run(["publish", "--profile", "quick"]) == 0
    fixture_store.write(full, "paper", chosen(profile("paper"), ["ladder-full-100-s3"])[0])
    assert run(["publish", "--profile", "paper"]) == 0
    page = (stores.NAMED["results"] / "README.md").read_text(encoding="utf-8")
    assert page.index("## Profile paper") < page.index("## Profile quick")
    assert page.count("(paper/ladder-full-100-s3)") == 1
    block = readme.read_text(encoding="utf-8")
    assert "Of the published protocol: 1 Run so far, in [results/README.md]" in block
    assert "**Table 1 (reduced protocol, not a reproduction).**" in block
    fixture_store.write(full, "paper", chosen(profile("paper"), [LVAE])[0])
    assert run(["publish", "--profile", "paper"]) == 0
    assert "results/paper/figures/figure5.png" in readme.read_text(encoding="utf-8")
    page = (stores.NAMED["results"] / "README.md").read_text(encoding="utf-8")
    assert "## Profile quick" not in page, "one depth only, beside a fuller profile"


def test_publish_keeps_the_rest_of_the_readme(full, readme):
    assert run(["publish", "--profile", "quick"]) == 0
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("# Top", "End")
    assert "old" not in lines


def test_a_readme_without_markers_is_a_machine_error(full, readme, capsys):
    readme.write_text("# Top\n", encoding="utf-8")
    assert run(["publish", "--profile", "quick"]) == 3
    assert "put the two markers back" in capsys.readouterr().err


def test_publish_says_what_is_missing(local, readme, capsys):
    fixture_store.write(local, "quick", quick_run())
    assert run(["publish", "--profile", "quick"]) == 0
    missing = next(s for s in capsys.readouterr().out.splitlines() if "still missing" in s)
    assert VAE in missing
    assert LVAE not in missing


def test_publish_refuses_uncommitted_changes(full, capsys, monkeypatch):
    make_dirty(monkeypatch, full)
    assert run(["publish", "--profile", "quick"]) == 3
    assert "--allow-dirty" in one_line(capsys)
    assert not stores.NAMED["results"].exists()


def test_publish_takes_uncommitted_changes_when_told(full, readme, monkeypatch):
    make_dirty(monkeypatch, full)
    assert run(["publish", "--profile", "quick", "--allow-dirty"]) == 0
    assert Store(stores.NAMED["results"]).has("quick", LVAE)


@pytest.mark.parametrize(
    "known", [{"commit": None, "dirty": None}, {"commit": None}, {"commit": ""}]
)
@pytest.mark.parametrize("allowed", [[], ["--allow-dirty"]])
def test_publish_refuses_what_code_of_an_unknown_commit_made(
    full, readme, capsys, monkeypatch, known, allowed
):
    rewrite(monkeypatch, full, **known)
    assert run(["publish", "--profile", "quick", *allowed]) == 3
    assert "unknown commit: train again in a clone" in one_line(capsys)
    assert not stores.NAMED["results"].exists()


def test_publish_needs_a_checkout_and_copies_nothing_without(full, readme, capsys, monkeypatch):
    monkeypatch.setattr(publishing, "CHECKOUT", False)
    assert run(["publish", "--profile", "quick"]) == 3
    assert "no checkout" in one_line(capsys)
    assert not stores.NAMED["results"].exists()


def make_dirty(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    rewrite(monkeypatch, store, dirty=True)


def rewrite(monkeypatch: pytest.MonkeyPatch, store: Store, **known: object) -> None:
    """A record with other words on the code that made it."""
    clean = fixture_store.environment()
    monkeypatch.setattr(fixture_store, "environment", lambda: {**clean, **known})
    fixture_store.write(store, "quick", quick_run())


def test_publish_refuses_another_configuration(full, capsys):
    asked = quick_run()
    other = replace(asked, optim=replace(asked.optim, lr=2e-3))
    fixture_store.write(full, "quick", other)
    assert run(["publish", "--profile", "quick"]) == 3
    assert "another configuration" in one_line(capsys)


def test_publish_refuses_a_damaged_record_and_copies_nothing(full, capsys):
    damaged = full.folder("quick", VAE) / "curve.csv"
    damaged.write_bytes(damaged.read_bytes() + b"\n")
    assert run(["publish", "--profile", "quick"]) == 3
    assert str(damaged) in one_line(capsys)
    assert not stores.NAMED["results"].exists()


def test_publish_of_nothing_is_a_record_error(local, capsys):
    assert run(["publish", "--profile", "quick"]) == 3
    assert "nothing to publish" in one_line(capsys)


def test_the_pages_show_what_results_hold():
    for path, text in publishing.pages(Store(ROOT / "results")).items():
        assert path.read_text(encoding="utf-8") == text, "run `repro publish`"
