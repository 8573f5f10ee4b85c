"""`repro report`: what the page says agrees with `check` and `list`, and nothing is left out."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace

import fixture_store
import pytest
from commands import LVAE, QUICK, VAE, one_line, quick_run
from filelock import FileLock
from fixture_report import fail, printed, undrawn, written

from repro.cli import report as reporting
from repro.cli import run
from repro.plan.profiles import profile, run_of, runs


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch, tmp_path):
    undrawn(monkeypatch, tmp_path)


@pytest.fixture
def mixed(local):
    """One Run of quick in each state."""
    _, bn, _, _ = runs(QUICK)
    fixture_store.write(local, "quick", quick_run(LVAE))
    fixture_store.diverge(local, "quick", quick_run(VAE), epoch=2)
    fail(local, "quick", bn.id, "OSError: the disk went away")
    return local


def test_targets_are_counted_as_check_counts_them(mixed, capsys):
    page = written(mixed)
    said = printed(capsys, "check", "--profile", "quick", "--store", str(mixed.root))
    assert page.count("targets", "data-verdict") == Counter(t["verdict"] for t in said["targets"])
    assert page.count("targets", "data-id") == Counter(t["id"] for t in said["targets"])


def test_claims_are_counted_as_check_counts_them(mixed, capsys):
    page = written(mixed)
    said = printed(capsys, "check", "--profile", "quick", "--store", str(mixed.root))
    assert page.count("claims", "data-verdict") == Counter(c["verdict"] for c in said["claims"])


def test_runs_are_counted_as_list_counts_them(mixed, capsys):
    page = written(mixed)
    said = printed(capsys, "list", "--profile", "quick", "--store", str(mixed.root))
    assert page.count("runs", "data-state") == Counter(row["state"] for row in said)
    assert {"done", "diverged", "failed", "missing"} <= set(page.count("runs", "data-state"))


def test_the_summary_counts_what_the_tables_hold(mixed):
    page = written(mixed)
    assert page.tally("published numbers") == page.count("targets", "data-verdict")
    assert page.tally("claims") == page.count("claims", "data-verdict")
    assert page.tally("Runs") == page.count("runs", "data-state")


def test_a_run_that_is_being_trained_is_running(mixed):
    path = mixed.folder("quick") / ".locks" / f"{LVAE}.lock"
    path.parent.mkdir(parents=True)
    with FileLock(path):
        assert written(mixed).all("tr", data_run=LVAE)[0].attrs["data-state"] == "running"


def test_reasons_of_failure_and_divergence_are_given(mixed):
    page = written(mixed)
    rows = {r.attrs["data-run"]: r.text for r in page.all("tr") if "data-run" in r.attrs}
    assert "diverged at epoch 2" in rows[VAE]
    assert any("OSError: the disk went away" in text for text in rows.values())


def test_a_failed_seed_that_nobody_planned_is_in_the_ledger(mixed):
    fail(mixed, "quick", "mnist-vae-L5-s9", "killed")
    (row,) = written(mixed).all("tr", data_run="mnist-vae-L5-s9")
    assert (row.attrs["data-state"], "killed" in row.text) == ("failed", True)


def test_a_record_that_nobody_planned_is_in_the_ledger(mixed):
    fixture_store.write(mixed, "quick", replace(quick_run(), seed=7))
    (row,) = written(mixed).all("tr", data_run="mnist-lvae_bn_wu-L5-s7")
    assert row.attrs["data-state"] == "done"


def test_a_record_of_another_configuration_is_called_so(local):
    asked = quick_run()
    fixture_store.write(local, "quick", replace(asked, optim=replace(asked.optim, lr=2e-3)))
    (row,) = written(local).all("tr", data_run=LVAE)
    assert row.attrs["data-state"] == "other configuration"


def test_experiments_on_request_are_planned_once_begun(local):
    p = profile("quick")
    ladder = runs(p, ["ladder"])
    fixture_store.write(local, "quick", ladder[0])
    page = written(local)
    states = {
        r.attrs["data-run"]: r.attrs["data-state"] for r in page.all("tr") if "data-run" in r.attrs
    }
    assert {r.id for r in ladder} <= set(states)
    assert states[ladder[0].id] == "done"


def test_a_damaged_note_of_failure_hides_no_run(mixed):
    path = mixed.folder("quick", ".failed") / f"{runs(QUICK)[1].id}.json"
    path.write_text("{ not json")
    (row,) = written(mixed).all("tr", data_run=path.stem)
    assert "not JSON" in row.text


def test_ours_and_both_errors_are_those_of_check(local, capsys):
    fixture_store.build(local.root, "quick", seeds=3)
    page = written(local)
    said = printed(capsys, "check", "--profile", "quick", "--store", str(local.root))
    target = next(t for t in said["targets"] if t["id"] == "table1/lvae5")
    start = page.source.index('data-id="table1/lvae5"')
    row = page.source[start : page.source.index("</tr>", start)]
    for name in ("ours", "sd", "mc_error", "seeds"):
        assert f'data-value="{target[name]}"' in row


def test_the_command_beside_a_number_trains_the_runs_behind_it(local):
    fixture_store.build(local.root, "quick", seeds=3)
    checked = 0
    for group in reporting.part(local, QUICK).groups:
        for target in group.targets:
            if not target.behind.records:
                continue
            (line,) = target.behind.commands
            trained = {r.hash for r in runs(*parsed(line))}
            assert {r.run.hash for r in target.behind.records} <= trained, line
            checked += 1
    assert checked >= 3


def test_a_number_of_a_cell_that_the_profile_leaves_out_is_trained_in_a_fuller_one(full):
    groups = {g.name: g for g in reporting.part(full, QUICK).groups}
    vae3 = next(t for t in groups["text"].targets if t.result.target.id == "text/L1_test/vae3")
    (line,) = vae3.behind.commands
    p, names, _ = parsed(line)
    assert p.name == "paper"
    assert run_of(vae3.result.target.cells[0], p).id in {r.id for r in runs(p, names)}


def parsed(line):
    """Profile, experiments and seeds of a `repro train` command."""
    words = shlex.split(line)
    assert words[:2] == ["repro", "train"]
    options = words.index("--profile")
    seeds = int(words[words.index("--seeds") + 1]) if "--seeds" in words else None
    return profile(words[options + 1]), words[2:options], seeds


def test_a_number_names_commit_and_device_of_its_runs(full):
    page = written(full)
    start = page.source.index('data-id="table1/lvae5"')
    row = page.source[start : page.source.index("</tr>", start)]
    env = full.record("quick", LVAE).env
    assert env["commit"][:10] in row
    assert f'href="#quick-provenance-{LVAE}"' in row


def test_provenance_gives_versions_data_hash_and_wall_time(full):
    (row,) = written(full).all("tr", id=f"quick-provenance-{LVAE}")
    assert all(
        s in row.text for s in ("torch 2.8.0", "cpu", "2 threads", "1 min 00 s", "synthetic")
    )


def test_uncommitted_changes_are_named(local, monkeypatch):
    clean = fixture_store.environment()
    monkeypatch.setattr(fixture_store, "environment", lambda: {**clean, "dirty": True})
    fixture_store.write(local, "quick", quick_run())
    (row,) = written(local).all("tr", id=f"quick-provenance-{LVAE}")
    assert "uncommitted changes" in row.text


def test_a_reduced_profile_says_so_first(full):
    section = written(full).within("quick")
    assert section.all("div", **{"class": "banner"})[0].text.strip().startswith("Reduced protocol")


def test_the_published_protocol_has_no_banner(local):
    lvae = next(r for r in runs(profile("paper")) if r.id == LVAE)
    fixture_store.write(local, "paper", lvae)
    page = written(local)
    assert page.within("paper").all("div", **{"class": "banner"}) == []
    assert "Under the published protocol" in page.source


def test_profiles_are_shown_fullest_first(full):
    fixture_store.write(full, "paper", next(r for r in runs(profile("paper")) if r.id == LVAE))
    fixture_store.write(full, "smoke", next(r for r in runs(profile("smoke")) if r.id == LVAE))
    sections = [e.attrs["id"] for e in written(full).all("section", **{"class": "profile"})]
    assert sections == ["paper", "quick", "smoke"]


def test_a_few_points_are_drawn_only_where_nothing_fuller_is_shown(full):
    assert "Figure 0: a square." in written(full).within("quick").source
    fixture_store.write(full, "paper", next(r for r in runs(profile("paper")) if r.id == LVAE))
    page = written(full)
    assert "Figure 0: a square." in page.within("paper").source
    quick = page.within("quick")
    assert "Figure 0: a square." not in quick.source
    assert "draws them" in quick.source


def test_profile_alone_can_be_asked_for(full):
    fixture_store.write(full, "smoke", next(r for r in runs(profile("smoke")) if r.id == LVAE))
    sections = written(full, "--profile", "smoke").all("section", **{"class": "profile"})
    assert [e.attrs["id"] for e in sections] == ["smoke"]


def test_a_profile_with_nothing_but_failures_is_shown(local):
    fail(local, "quick", LVAE, "no memory")
    assert "no memory" in written(local).within("quick").source


def test_the_same_records_give_the_same_page(full):
    assert written(full).source == written(full).source


def test_the_page_lies_in_the_store_by_default(full):
    assert run(["report"]) == 0
    assert (full.root / "report.html").is_file()


def test_a_damaged_record_is_one_line(full, capsys):
    (full.folder("quick", LVAE) / "final.json").write_text("{ not json")
    assert run(["report", "--store", str(full.root)]) == 3
    assert "final.json" in one_line(capsys)
