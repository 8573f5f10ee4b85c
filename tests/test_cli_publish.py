"""`repro publish`: from runs/ to results/, its page, the README and model cards."""

import re

import fixture_store
import pytest
from check_records import otherwise
from commands import LVAE, QUICK, VAE, quick_run, refusal, told

from repro import store as stores
from repro.cli import publish as publishing
from repro.cli import run
from repro.errors import RecordError
from repro.plan.profiles import chosen, profile, runs
from repro.show import gallery, layout, results
from repro.show.card import card
from repro.store import Store
from repro.store.places import ROOT

HERE = ("publish", "--profile", "quick")


@pytest.fixture
def drawn(monkeypatch):
    """What was asked of tables and figures, which are not drawn."""
    asked = []
    for shared in (layout, gallery):
        monkeypatch.setattr(shared, "render_all", lambda *place: asked.append(place) or [])
    return asked


@pytest.fixture
def readme(drawn, tmp_path, monkeypatch):
    """A README that is not the checkout's."""
    path = tmp_path / "README.md"
    path.write_text(f"# Top\n{publishing.BEGIN}\nold\n{publishing.END}\nEnd\n", encoding="utf-8")
    monkeypatch.setattr(publishing, "ROOT", tmp_path)
    return path


@pytest.fixture
def target(local, readme) -> Store:
    """`results/`; no test publishes into the checkout."""
    return Store(stores.NAMED["results"])


def test_publish_takes_what_was_scored_again_and_leaves_the_rest_alone(full, target):
    publishing.copy_finished(full, target, QUICK)
    assert target.record("quick", LVAE).final == full.record("quick", LVAE).final
    before = {p: p.stat().st_ino for p in target.root.rglob("*") if p.is_file()}
    record = full.record("quick", LVAE)
    full.add(record, record.env, {"L1_test": -1.0}, {})
    publishing.copy_finished(full, target, QUICK)
    assert target.record("quick", LVAE).final["L1_test"] == -1.0
    assert target.record("quick", LVAE).sums == full.record("quick", LVAE).sums
    others = [p for p in before if p.parent.name != LVAE]
    assert [p.stat().st_ino for p in others] == [before[p] for p in others]


def test_results_are_redrawn_and_the_readme_keeps_the_rest(local, target, readme, drawn, capsys):
    fixture_store.write(local, "quick", quick_run())
    said = told(capsys, *HERE)
    assert [place.name for *_, place in drawn] == ["tables", "figures"]
    assert {store.root for store, *_ in drawn} == {target.root}
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("# Top", "End")
    assert "old" not in lines
    missing = next(s for s in said.splitlines() if "still missing" in s)
    assert (VAE in missing, LVAE in missing) == (True, False)
    readme.write_text("# Top\n", encoding="utf-8")
    assert run([*HERE]) == 3
    assert "put the two markers back" in capsys.readouterr().err


def test_every_row_ends_with_a_command_that_names_its_runs(full, target, readme, capsys):
    fixture_store.build(full.root, "quick", runs=runs(QUICK, ["omniglot", "ladder", "ablations"]))
    said, page = told(capsys, *HERE), target.root / "README.md"
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
    # Of OMNIGLOT there are Table 2 and figures, but for one depth, which is no curve.
    assert all(part in text for part in ("**Table 2", "figure10.png"))
    assert not any(f"{name}.png" in text for name in ("figure7", "figure8"))
    without = results.page(fixture_store.build(full.root.parent / "mnist", "quick"), QUICK)
    assert "figure10.png" not in without


def test_a_first_run_of_the_paper_s_leaves_the_readme_its_table(full, target, readme, capsys):
    """What a profile has so far stands in full on the page, and in one line of the README."""

    def published(name: str, *asked: str) -> tuple[str, str]:
        for r in chosen(profile(name), asked) if asked else ():
            fixture_store.write(full, name, r)
        told(capsys, "publish", "--profile", name)
        page = target.root / "README.md"
        return page.read_text(encoding="utf-8"), readme.read_text(encoding="utf-8")

    published("quick")
    page, block = published("paper", "ladder-full-100-s3")
    assert page.index("## Profile paper") < page.index("## Profile quick")
    assert page.count("(paper/ladder-full-100-s3)") == 1
    assert "Of the published protocol: 1 Run so far, in [results/README.md]" in block
    assert "**Table 1 (reduced protocol, not a reproduction).**" in block
    published("reduced", LVAE)
    page, block = published("paper", LVAE)
    assert "results/paper/figures/figure5.png" in block
    assert re.findall(r"^Of .*", block, re.MULTILINE) == [
        "Of profile reduced (40 epochs, N<sub>t</sub> = 10, L<sub>500</sub> on 1,000 images, all"
        " configurations): 1 Run, no reproduction, in [results/README.md](results/README.md)."
    ]
    assert "## Profile quick" not in page, "one depth only, beside a fuller profile"


AGAIN = "unknown commit: move the record out of runs/ and train again in"


def test_what_no_commit_made_is_refused_uncommitted_changes_unless_told(full, target, capsys):
    for trained, scored, allowed, said in (
        ({"commit": None, "dirty": None}, {}, [], AGAIN),
        ({"commit": None, "dirty": None}, {}, ["--allow-dirty"], AGAIN),
        ({"commit": ""}, {}, [], AGAIN),
        ({}, {"dirty": True}, [], "commit, evaluate again"),
        ({}, {"commit": None}, ["--allow-dirty"], "unknown commit: evaluate again, with --ais"),
        ({"dirty": True}, {}, [], "--allow-dirty"),
    ):
        record = fixture_store.write(full, "quick", quick_run(), env=trained)
        if scored:
            full.add(record, record.env | scored, record.final, {})
        assert said in refusal(capsys, *HERE, *allowed)
        assert not target.root.exists()
    told(capsys, *HERE, "--allow-dirty")
    assert target.has("quick", LVAE)


def test_other_records_and_places_are_refused(full, target, capsys, monkeypatch):
    fixture_store.write(full, "quick", otherwise(quick_run()))
    assert "another configuration" in refusal(capsys, *HERE)
    fixture_store.write(full, "quick", quick_run())
    curve = full.folder("quick", LVAE) / "curve.csv"
    curve.write_bytes(curve.read_bytes() + b"\n")
    assert f"{LVAE}/curve.csv" in refusal(capsys, *HERE)
    monkeypatch.setattr(publishing, "CHECKOUT", False)
    assert "no checkout" in refusal(capsys, *HERE)
    assert not target.root.exists()


def test_the_pages_show_what_results_hold():
    """The card of every published model among them."""
    for path, text in publishing.pages(Store(ROOT / "results")).items():
        assert path.read_text(encoding="utf-8") == text, "run `repro publish`"


# Model cards, beside published weights


def test_a_card_says_data_protocol_bounds_errors_how_to_load_and_what_is_not_as_usual(local):
    of_all = {"LK_images": 10_000, "LK_test": -96.0304, "LK_se": 0.224, "LK_mc_error": 0.004}
    own = {"L1_test": -105.114, "L1_se": 0.251, **of_all}
    text = card(fixture_store.write(local, "quick", quick_run(), **own))
    for said in (
        "Weights of LVAE+BN+WU with 5 stochastic layers, after",
        "(reduced protocol, not a reproduction)",
        "mnist, grey value = byte / 256; SHA-256",
        "profile quick: 5 epochs",
        "matrix products in float32",
        "| L<sub>1</sub>, test set | −105.11 ± 0.25 |",
        "10,000 test images | −96.03 ± 0.22; Monte-Carlo error 0.0040 |",
        f'load_model("{LVAE}", "quick", store="results")',
        f"`repro verify {LVAE} --profile quick --store results`",
        "Licence: MIT",
    ):
        assert said in text
    env = {"precision": "bfloat16", "data": {"version": "rebuilt", "hash": "ab"}}
    text = card(fixture_store.write(local, "quick", quick_run(), env=env))
    assert "matrix products in bfloat16" in text
    assert f"`repro train {LVAE} --profile quick --precision bfloat16`" in text
    assert "mnist, rebuilt: other data than" in text


def test_each_published_model_has_a_card_and_none_without_a_record(full, target, capsys):
    fixture_store.write(target, "quick", quick_run())
    place = target.folder("weights", "quick") / f"{LVAE}.safetensors"
    place.parent.mkdir(parents=True)
    place.touch()
    page = place.with_suffix(".md")
    assert publishing.pages(target)[page] == card(target.record("quick", LVAE))
    gone = place.rename(place.with_name("mnist-vae-L4-s9.safetensors"))
    assert f"{gone}: weights without a record" in refusal(capsys, *HERE)
    assert [r.run.id for r in target.records("quick")] == [LVAE], "nothing is copied"
    with pytest.raises(RecordError, match="no record of mnist-vae-L4-s9"):
        publishing.pages(target)
