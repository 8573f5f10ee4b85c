"""The command line: usage, defaults, behaviour as a program; the commands that read records."""

import os
import subprocess
import sys

import fixture_store
import pytest
from check_records import made, otherwise, several, stored
from commands import LVAE, QUICK, printed, quick_run, refusal, told
from filelock import FileLock

from repro import store as stores
from repro.cli import COMMANDS, app, run
from repro.cli.shared import options
from repro.cli.shared.options import to_read
from repro.cli.shared.terminal import seconds
from repro.errors import UsageError
from repro.judge.targets import TARGETS
from repro.machine.watch.pace import in_words
from repro.plan.experiments import EXPERIMENTS, UNLISTED
from repro.plan.experiments.grid import cell_of
from repro.plan.profiles import find_run, profile, runs
from repro.show import results, scripts
from repro.store.places import ROOT
from repro.store.reading import held

PAPER = profile("paper")
OTHER = otherwise(quick_run())


def test_readers_take_the_fullest_profile_of_runs_or_of_results(local):
    """Table 1's own row counts most: one Ladder network of paper hides nothing that is whole."""

    def found() -> tuple[str, str]:
        store, p = to_read(None, None)
        return store.root.name, p.name

    for name in ("smoke", "quick"):
        fixture_store.build(stores.NAMED["results"], name)
    assert found() == ("results", "quick")
    assert held(local) == []
    fixture_store.build(local.root, "smoke")
    assert found() == ("runs", "smoke")
    fixture_store.write(local, "paper", find_run("ladder-full-100-s3", PAPER))
    assert held(local) == ["paper", "smoke"]
    fixture_store.build(local.root, "quick")
    assert held(local) == ["quick", "paper", "smoke"]
    assert found() == ("runs", "quick")
    fixture_store.write(local, "paper", find_run("mnist-lvae_bn_wu-L5-s2", PAPER))
    assert held(local) == ["paper", "quick", "smoke"]


def test_the_published_protocol_is_trained_where_there_is_a_cuda_device(monkeypatch):
    for cuda, name in ((True, "paper"), (False, "quick")):
        monkeypatch.setattr(options, "has_cuda", lambda cuda=cuda: cuda)
        assert options.profile_to_train(None).name == name


def test_every_command_is_of_its_own_file_with_examples_and_without_one_help_is_shown(capsys):
    assert [c.name or c.callback.__name__ for c in app.registered_commands] == [*COMMANDS]
    for command in COMMANDS:
        assert f"repro {command}" in told(capsys, command, "--help").partition("Examples:")[2]
    assert "Usage: repro" in told(capsys)


WRONG = [
    (["list", "--frobnicate"], 2, "--help`)"),
    (["show"], 2, "--help`)"),
    (["fly"], 2, "--help`)"),
    (["train", "--engine", "steam"], 2, "--help`)"),
    (["list", "--profile", "enormous"], 2, "unknown profile 'enormous'"),
    (["train", "--profile", "enormous"], 2, "unknown profile 'enormous'"),
    (["list", "--experiment", "figure99"], 2, "unknown experiment 'figure99'"),
    (["list", "--experiment", "combinators", "--profile", "quick"], 2, "use --profile paper"),
    (["train", "combinators", "figure5", "--profile", "quick"], 2, "use --profile paper"),
    (["bench", "--arms", "steam"], 2, "no arm matches 'steam': choose from eager single"),
    (["status", "--watch"], 2, "--watch"),  # without a terminal
    (["show", "mnist-vae-L9-s2"], 2, "'mnist-vae-L9-s2': the nearest are mnist-vae-L5-s2"),
    (["show", "nonsense", "--json"], 2, "unknown Run 'nonsense'"),
    (["list", "--frobnicate", "--json"], 2, "--frobnicate"),
    (["tables", "--out", ""], 2, "--out '': empty: give it a value, or leave it out"),
    (["list", "--store="], 2, "--store '': empty"),
    (["show", ""], 2, "show '': empty"),
    (["train", "--threads", "0"], 2, "'--threads': 0 "),
    (["evaluate", "--threads", "100000"], 2, "'--threads': 100000 "),
    (["score", "x", "--run", LVAE, "--samples", f"{2**31}"], 2, f"'--samples': {2**31} "),
    (["train", "--budget", "0s"], 2, "--budget 0s: no time above 0"),
    (["train", "--checkpoint-every", "5"], 2, "--checkpoint-every 5: no time above 0"),
    (["show", LVAE, "--profile", "quick"], 3, f"`repro train {LVAE} --profile quick`"),
    (["check", "--store", "/nonexistent/store", "--profile", "quick"], 3, "/nonexistent/store"),
]


@pytest.mark.parametrize(("command", "code", "said"), WRONG)
def test_what_is_asked_wrongly_is_one_line_with_its_exit_code(local, capsys, command, code, said):
    assert said in refusal(capsys, *command, code=code)


def test_durations_are_read_and_said_in_a_fitting_unit():
    assert [seconds("--budget", text) for text in ("90s", "25m", "1.5h")] == [90, 1500, 5400]
    for text in ("25", "m", "-5m", "0s", "1h30m", "1e3s", "9" * 400 + "h"):
        with pytest.raises(UsageError, match=f"--budget {text}: no time above 0: write it like"):
            seconds("--budget", text)
    said = ["40 s", "12 min", "3.5 h", "4.6 days"]
    assert [*map(in_words, (40, 720, 12_600, 400_000))] == said


def test_data_status_names_every_file(capsys, data_dir, tmp_path):
    link = tmp_path / "of [old] times"
    link.symlink_to(data_dir)
    out = told(capsys, "data", "status", "mnist", "--data-dir", str(link))
    assert "[old]" in out
    assert out.count("ubyte") >= 4
    assert out.count("ok") == 4


def test_a_closed_pipe_is_quiet(tmp_path):
    fixture_store.build(tmp_path, "quick")
    command = [sys.executable, "-m", "repro.cli", "show", LVAE, "--store", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


INTERRUPTED = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "pandas":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, signal.HANDLER)
import repro.cli
print(signal.getsignal(signal.SIGINT) is signal.HANDLER)
"""


@pytest.mark.parametrize(
    ("handler", "code", "out"), [("default_int_handler", 130, ""), ("SIG_IGN", 0, "True\n")]
)
def test_ctrl_c_while_libraries_are_loaded_leaves_no_traceback(handler, code, out):
    """Where it is ignored, as in the background of a script, it still is."""
    command = [sys.executable, "-c", INTERRUPTED.replace("HANDLER", handler)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, "")


def test_no_path_is_judged_before_it_is_read(local, tmp_path, monkeypatch, capsys):
    """The parser would call an unreadable file wrong usage, exit 2; it is the data's fault, 3."""
    file, of_lvae = tmp_path / "file", ["--run", LVAE]
    file.write_text("no images", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda *_: False)
    refusal(capsys, "score", str(file), *of_lvae)
    refusal(capsys, "score", f"{file}.npy", *of_lvae, "--out", str(file))
    refusal(capsys, "bench", "--compare", str(file))
    refusal(capsys, "report", "--out", str(file))


def listed(capsys, *arguments) -> dict[str, dict]:
    return {row["run"]: row for row in printed(capsys, "list", "--profile", "quick", *arguments)}


def test_list_has_every_run_of_tables_and_figures_with_the_keys_of_the_contract(local, capsys):
    cells = [t.cells[0] for name, t in TARGETS.items() if name.startswith("table2/")]
    assert len(cells) == 38
    shown = {row["run"] for row in printed(capsys, "list", "--profile", "paper")}
    assert {f"{c.data}-{c.variant}-L{c.depth}-s1" for c in cells} <= shown
    found = listed(capsys)
    assert list(found) == [r.id for r in runs(QUICK, [e for e in EXPERIMENTS if e not in UNLISTED])]
    assert list(listed(capsys, "--experiment", "table1")) == [LVAE]
    row = found[LVAE]
    assert {"run", "experiment", "profile", "state", "seed", "variant", "layers"} <= set(row)
    figures = [f"figure{n}" for n in (2, 3, 4, 5, 6, 7, 9)]
    assert {"table1", *figures, "mnist"} <= set(row["experiment"])
    assert (row["seed"], row["variant"], row["layers"]) == (1, "lvae_bn_wu", 5)
    assert row["predicted_seconds"] > 0


def leave(store, folder, name):
    """An empty object in a file beside the records."""
    path = store.folder("quick", folder) / f"{LVAE}{name}"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    return path


STATES = {
    "missing": lambda store: None,
    "missing, its lock held by nobody": lambda store: leave(store, ".locks", ".lock"),
    "running": lambda store: FileLock(leave(store, ".locks", ".lock")).acquire(),
    "done": lambda store: fixture_store.write(store, "quick", quick_run()),
    "diverged": lambda store: fixture_store.diverge(store, "quick", quick_run(), epoch=2),
    "failed": lambda store: leave(store, ".failed", ".json"),
    "other configuration": lambda store: fixture_store.write(store, "quick", OTHER),
}


@pytest.mark.parametrize("expected", STATES)
def test_list_says_how_far_a_run_is(local, capsys, expected):
    held = STATES[expected](local)
    assert listed(capsys)[LVAE]["state"] == expected.partition(",")[0]
    del held  # a lock is held as long as its object lives


def test_a_seed_beyond_the_profile_is_held_to_what_the_profile_would_train(local, capsys):
    fixture_store.write(local, "quick", quick_run().with_seed(7))
    fixture_store.write(local, "quick", OTHER.with_seed(8))
    states = {i: row["state"] for i, row in listed(capsys).items()}
    assert states["mnist-lvae_bn_wu-L5-s7"] == "done"
    assert states["mnist-lvae_bn_wu-L5-s8"] == "other configuration"
    (shown,) = printed(capsys, "status", "--profile", "quick")["profiles"]
    assert (shown["runs"]["done"], shown["runs"]["other configuration"]) == (1, 1)


def test_how_products_were_rounded_is_listed_shown_and_said_below_the_table(local, capsys):
    assert listed(capsys)[LVAE]["precision"] is None
    fixture_store.write(local, "quick", quick_run(), env={"precision": "bfloat16"})
    assert listed(capsys)[LVAE]["precision"] == "bfloat16"
    for command in (["list"], ["show", LVAE]):
        assert "bfloat16" in told(capsys, *command, "--profile", "quick")
    pages = [results.summary(local, QUICK), results.page(local, QUICK)]
    table = scripts.load("tables", "table1").build(local, "quick").caption
    figure = str(scripts.load("figures", "figure5").draw(local, "quick").get_label())
    for text in (*pages, table, figure):
        assert "Matrix products: bfloat16 (training alone) in 1 of 1 Runs." in text
    trained = f"`repro train {LVAE} --profile quick --precision bfloat16`"
    assert all(trained in text for text in pages)


def test_show_has_the_keys_of_the_contract_and_for_people_configuration_and_metrics(full, capsys):
    shown = printed(capsys, "show", LVAE)
    assert list(shown) == ["run", "profile", "config", "env", "final"]
    assert {"L1_train", "L1_test", "LK_test", "K", "LK_se", "LK_mc_error"} <= set(shown["final"])
    assert len(shown["final"]["kl_layers"]) == len(shown["final"]["active_units"]) == 5
    assert shown["final"] == full.record("quick", LVAE).final
    out = told(capsys, "show", LVAE)
    assert all(name in out for name in ("L1_test", "optim.lr", "commit"))


def test_tables_are_written_where_they_are_asked_for_or_into_the_store(full, tmp_path):
    own = full.folder("quick", "tables")
    for place, asked in ((tmp_path / "out", ["--out", str(tmp_path / "out")]), (own, [])):
        assert not own.exists()
        assert run(["tables", "--profile", "quick", *asked]) == 0
        assert {p.suffix for p in place.iterdir()} == {".md", ".csv", ".tex"}


def test_fine_tuned_models_and_iwae_stand_in_their_rows_of_table_1(local):
    wanted = runs(QUICK, ["finetuning", "iwae"])
    values = [-80.0 - i for i in range(len(wanted))]
    pairs = zip(wanted, values, strict=True)
    stored(local.root, *(made(None, "quick", run=r, LK_test=v) for r, v in pairs))
    shown = [row[3] for row in scripts.load("tables", "table1").build(local, "quick").rows]
    assert sorted(v for v in shown if v[0] == "-") == [f"{v:.2f}" for v in values]


def test_strict_exits_1_on_a_short_target(local):
    stored(local.root, *several(cell_of(quick_run()), *[-119.0] * 3))
    assert run(["check", "--profile", "paper"]) == 0
    assert run(["check", "--profile", "paper", "--strict"]) == 1


def test_a_regression_against_another_store_exits_1(full, tmp_path):
    better = fixture_store.build(tmp_path / "better", "quick")
    against = ["check", "--profile", "quick", "--against", str(better.root)]
    assert run(against) == 0
    final = full.record("quick", LVAE).final
    worse = {name: final[name] - 50 for name in ("L1_test", "LK_test")}
    fixture_store.write(full, "quick", quick_run(), **worse)
    assert run(against) == 1


def test_json_has_the_documented_keys(store, capsys):
    """Of list, show and check; those of status are held where it is."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    said = page.partition("## What `--json` prints")[2].partition("\n## ")[0]
    fixture_store.build(store.root, runs=[quick_run(LVAE)])
    where = ["--store", str(store.root), "--profile", "quick"]
    (listed, *_), shown = (printed(capsys, *of, *where) for of in (["list"], ["show", LVAE]))
    checked = printed(capsys, "check", *where)
    keys = {*listed, *shown, *checked, *checked["targets"][0], *checked["claims"][0]}
    assert [key for key in sorted(keys) if f"`{key}`" not in said] == []
