"""`repro publish`: from runs/ to results/, its page and the README."""

import functools
import re
from pathlib import Path
from typing import Any

import fixture_store
import pytest
from check_records import otherwise
from commands import LVAE, QUICK, VAE, quick_run, refusal

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


def test_publish_takes_what_was_scored_again_and_leaves_the_rest_alone(full, readme):
    target = Store(stores.NAMED["results"])
    publishing.copy_finished(full, target, QUICK)
    assert target.record("quick", LVAE).final == full.record("quick", LVAE).final
    before = {p: p.stat().st_ino for p in target.root.rglob("*") if p.is_file()}
    record = full.record("quick", LVAE)
    full.add(record, record.env, {"L1_test": -1.0}, {})
    assert run(["publish", "--profile", "quick"]) == 0
    assert target.record("quick", LVAE).final["L1_test"] == -1.0
    assert target.record("quick", LVAE).sums == full.record("quick", LVAE).sums
    others = [p for p in before if p.parent.name != LVAE]
    assert [p.stat().st_ino for p in others] == [before[p] for p in others]


def test_publish_redraws_what_is_in_results_and_keeps_the_rest_of_the_readme(
    full, readme, monkeypatch
):
    drawn = []
    for shared in (layout, gallery):
        monkeypatch.setattr(shared, "render_all", lambda *asked: drawn.append(asked) or [])
    assert run(["publish", "--profile", "quick"]) == 0
    assert [place.name for *_, place in drawn] == ["tables", "figures"]
    assert {store.root for store, *_ in drawn} == {stores.NAMED["results"]}
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("# Top", "End")
    assert "old" not in lines


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
    for name in ("reduced", "paper"):
        fixture_store.write(full, name, chosen(profile(name), [LVAE])[0])
        assert run(["publish", "--profile", name]) == 0
    block = readme.read_text(encoding="utf-8")
    assert "results/paper/figures/figure5.png" in block
    assert re.findall(r"^Of .*", block, re.MULTILINE) == [
        "Of profile reduced (40 epochs, N<sub>t</sub> = 10, L<sub>500</sub> on 1,000 images, all"
        " configurations): 1 Run, no reproduction, in [results/README.md](results/README.md)."
    ]
    page = (stores.NAMED["results"] / "README.md").read_text(encoding="utf-8")
    assert "## Profile quick" not in page, "one depth only, beside a fuller profile"


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


def test_published_weights_without_a_record_are_refused(full, readme, capsys):
    path = stores.NAMED["results"] / "weights" / "quick" / "mnist-gone-L5-s1.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert f"{path}: weights without a record" in refusal(capsys, "publish", "--profile", "quick")
    assert not Store(stores.NAMED["results"]).records("quick")


def rewrite(store: Store, _: pytest.MonkeyPatch, **known: object) -> None:
    """A record with other words on the code that made it."""
    fixture_store.write(store, "quick", quick_run(), env=known)


dirty = functools.partial(rewrite, dirty=True)
unknown = functools.partial(rewrite, commit=None, dirty=None)
unnamed = functools.partial(rewrite, commit="")


def scored(store: Store, _: pytest.MonkeyPatch, **env: Any) -> None:
    """A record whose last scores are of other code than the training."""
    record = store.record("quick", VAE)
    store.add(record, record.env | env, record.final, {})


def elsewhere(_: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "CHECKOUT", False)


def other_configuration(store: Store, _: pytest.MonkeyPatch) -> None:
    fixture_store.write(store, "quick", otherwise(quick_run()))


def damaged(store: Store, _: pytest.MonkeyPatch) -> None:
    path = store.folder("quick", VAE) / "curve.csv"
    path.write_bytes(path.read_bytes() + b"\n")


REFUSED = [
    (dirty, [], "--allow-dirty"),
    (unknown, [], "unknown commit: move the record out of runs/ and train again in"),
    (unknown, ["--allow-dirty"], "unknown commit: move the record out of runs/ and train again in"),
    (unnamed, [], "unknown commit: move the record out of runs/ and train again in"),
    (functools.partial(scored, dirty=True), [], "commit, evaluate again"),
    (
        functools.partial(scored, commit=None),
        ["--allow-dirty"],
        "unknown commit: evaluate again, with --ais",
    ),
    (elsewhere, [], "no checkout"),
    (other_configuration, [], "another configuration"),
    (damaged, [], f"{VAE}/curve.csv"),
]


@pytest.mark.parametrize(("spoil", "allowed", "said"), REFUSED)
def test_what_may_not_be_published_is_refused_and_nothing_copied(
    full, readme, capsys, monkeypatch, spoil, allowed, said
):
    spoil(full, monkeypatch)
    assert said in refusal(capsys, "publish", "--profile", "quick", *allowed)
    assert not stores.NAMED["results"].exists()


def test_publish_takes_uncommitted_changes_when_told(full, readme, monkeypatch):
    dirty(full, monkeypatch)
    assert run(["publish", "--profile", "quick", "--allow-dirty"]) == 0
    assert Store(stores.NAMED["results"]).has("quick", LVAE)


def test_the_pages_show_what_results_hold():
    """The card of every published model among them."""
    for path, text in publishing.pages(Store(ROOT / "results")).items():
        assert path.read_text(encoding="utf-8") == text, "run `repro publish`"
