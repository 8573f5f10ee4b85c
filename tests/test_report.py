"""`repro report`: what the page says agrees with `check` and `list`, and nothing is left out."""

from collections import Counter
from dataclasses import replace

import fixture_store
import pytest
from commands import LVAE, QUICK, VAE, printed, quick_run, refusal
from filelock import FileLock
from fixture_report import fail, written

from repro.cli import report as reporting
from repro.cli import run
from repro.plan.profiles import profile, run_of, runs
from repro.store import Store

PROVENANCE = f"quick-provenance-{LVAE}"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """One Run of quick in each state, and some that nobody planned: the store and its page."""
    store = Store(tmp_path_factory.mktemp("mixed") / "store")
    lvae, (_, bn, warm, _) = quick_run(LVAE), runs(QUICK)
    fixture_store.write(store, "quick", lvae)
    fixture_store.write(store, "quick", replace(lvae, seed=7))
    fixture_store.write(store, "quick", replace(warm, optim=replace(warm.optim, lr=2e-3)))
    fixture_store.diverge(store, "quick", quick_run(VAE), epoch=2)
    fail(store, "quick", bn.id, "OSError: the disk went away")
    fail(store, "quick", "mnist-vae-L5-s9", "killed")
    fail(store, "quick", "mnist-vae_bn-L5-s9", "")
    (store.folder("quick", ".failed") / "mnist-vae_bn-L5-s9.json").write_text("{ not json")
    return store, written(store)


def test_verdicts_and_states_are_those_of_check_and_list_and_the_summary_counts_them(mixed, capsys):
    store, page = mixed
    where = ("--profile", "quick", "--store", str(store.root))
    checked = printed(capsys, "check", *where)
    for kind, name in (("targets", "published numbers"), ("claims", "claims")):
        verdicts = Counter(one["verdict"] for one in checked[kind])
        assert page.count(kind, "data-verdict") == verdicts == page.tally(name)
        assert page.count(kind, "data-id") == Counter(one["id"] for one in checked[kind])
    listed = {row["run"]: row["state"] for row in printed(capsys, "list", *where)}
    shown = {i: row.attrs["data-state"] for i, row in page.runs().items()}
    assert listed.items() <= shown.items()
    assert {"done", "diverged", "failed", "other configuration"} <= set(shown.values())
    assert {"missing", "data missing"} & set(shown.values())
    assert page.tally("Runs") == page.count("runs", "data-state") == Counter(shown.values())


def test_the_same_records_give_the_same_page_but_for_a_run_that_is_being_trained(mixed):
    store, page = mixed
    assert written(store).source == page.source
    path = store.folder("quick") / ".locks" / f"{LVAE}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        assert written(store).runs()[LVAE].attrs["data-state"] == "running"


def test_the_ledger_holds_every_run_with_its_state_and_reason(mixed):
    rows = mixed[1].runs()
    for run_id, state, reason in (
        (VAE, "diverged", "diverged at epoch 2"),
        ("mnist-vae_bn-L5-s1", "failed", "OSError: the disk went away"),
        ("mnist-vae_bn_wu-L5-s1", "other configuration", "is not the profile's Run"),
        ("mnist-vae-L5-s9", "failed", "killed"),  # nobody planned it, nor those below
        ("mnist-vae_bn-L5-s9", "failed", "not JSON"),
        ("mnist-lvae_bn_wu-L5-s7", "done", ""),
    ):
        assert rows[run_id].attrs["data-state"] == state
        assert reason in rows[run_id].text


def test_experiments_on_request_are_planned_once_begun(local):
    ladder = runs(profile("quick"), ["ladder"])
    fixture_store.write(local, "quick", ladder[0])
    rows = written(local).runs()
    assert {r.id for r in ladder} <= set(rows)
    assert rows[ladder[0].id].attrs["data-state"] == "done"


def test_a_number_is_that_of_check_and_leads_to_all_that_made_it(local, capsys):
    """Both errors, commit, device, versions, data, time, and the command that trains its Runs."""
    fixture_store.build(local.root, "quick", seeds=3)
    said = printed(capsys, "check", "--profile", "quick")
    target = next(t for t in said["targets"] if t["id"] == "table1/lvae5")
    page = written(local)
    row = page.part('data-id="table1/lvae5"', "</tr>").source
    for name in ("ours", "sd", "mc_error", "seeds"):
        assert f'data-value="{target[name]}"' in row
    assert local.record("quick", LVAE).env["commit"][:10] in row
    assert f'href="#{PROVENANCE}"' in row
    (found,) = page.all("tr", id=PROVENANCE)
    made = ("torch 2.8.0", "cpu", "2 threads", "1 min 00 s", "synthetic")
    assert all(s in found.text for s in made)
    targets = [t for *_, found in reporting.part(local, QUICK).groups for t in found]
    behind = [b for _, b in targets if b.records]
    assert len(behind) >= 3
    for one in behind:
        ids = " ".join(r.run.id for r in one.records)
        assert one.commands == (f"repro train {ids} --profile quick",)
    ((vae3, how),) = [t for t in targets if t[0].target.id == "text/L1_test/vae3"]
    asked = run_of(vae3.target.cells[0], QUICK).id
    assert how.commands == (f"repro train {asked} --profile quick",), "quick leaves that cell out"


def test_uncommitted_changes_and_the_code_that_began_and_that_scored_again_are_named(local):
    def provenance() -> str:
        (row,) = written(local).all("tr", id=PROVENANCE)
        return row.text

    fixture_store.write(local, "quick", quick_run(), env={"dirty": True})
    assert "uncommitted changes" in provenance()
    record = fixture_store.write(local, "quick", quick_run(), env={"earlier_commits": ["b" * 40]})
    assert "uncommitted changes" not in provenance()
    local.add(record, record.env | {"commit": "a" * 40, "dirty": True}, {"L1_test": -1.0}, {})
    said = (f"trained too by {'b' * 10}", f"scored again by {'a' * 10}", "uncommitted changes")
    assert all(s in provenance() for s in said)


def test_profiles_are_shown_fullest_first_and_the_reduced_say_so(local):
    def sections(page) -> list[str]:
        return [e.attrs["id"] for e in page.all("section", **{"class": "profile"})]

    for name in ("smoke", "quick", "paper"):
        fixture_store.write(local, name, next(r for r in runs(profile(name)) if r.id == LVAE))
    page, alone = written(local), written(local, "--profile", "quick")
    assert sections(page) == ["paper", "quick", "smoke"]
    paper, quick = page.within("paper"), page.within("quick")
    assert paper.all("div", **{"class": "banner"}) == []
    assert quick.all("div", **{"class": "banner"})[0].text.strip().startswith("Reduced protocol")
    assert "Under the published protocol" in page.source
    assert "Figure 0: a square." in paper.source
    assert "Figure 0: a square." not in quick.source, "a few points beside a fuller profile"
    assert "draws what can be" in quick.source
    assert sections(alone) == ["quick"]
    assert "Figure 0: a square." in alone.source


def test_a_profile_with_nothing_but_failures_is_shown(local):
    fail(local, "quick", LVAE, "no memory")
    assert "no memory" in written(local).within("quick").source


def test_a_damaged_record_stops_no_report_of_another_profile(local, monkeypatch, capsys):
    monkeypatch.setattr(reporting, "figures", lambda *_: ())
    fixture_store.write(local, "smoke", runs(profile("smoke"))[0])
    fixture_store.write(local, "quick", quick_run())
    (local.folder("quick", LVAE) / "final.json").write_text("{ not json")
    assert "final.json" in refusal(capsys, "report")
    assert run(["report", "--profile", "smoke"]) == 0
    assert (local.root / "report.html").is_file()
