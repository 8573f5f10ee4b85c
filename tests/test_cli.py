"""The command line as a whole: usage, default store and profile, data, behaviour as a program."""

import os
import subprocess
import sys

import fixture_store
import pytest
from commands import LVAE, quick_run, refusal, told

from repro import store as stores
from repro.cli import COMMANDS, app, run
from repro.cli.shared import options
from repro.cli.shared.options import held, to_read
from repro.cli.shared.terminal import seconds
from repro.errors import UsageError
from repro.machine.watch.pace import in_words
from repro.plan.profiles import find_run, profile
from repro.store.places import ROOT


@pytest.mark.parametrize("store", ["runs", "results"])
def test_readers_take_the_fullest_profile_of_runs_or_of_results(local, store):
    for name in ("smoke", "quick"):
        fixture_store.build(stores.NAMED[store], name)
    if store == "runs":
        fixture_store.build(stores.NAMED["results"], "reduced", runs=[quick_run()])
    opened, p = to_read(None, None)
    assert (opened.root, p.name) == (stores.NAMED[store], "quick")


def test_readers_take_the_fullest_that_has_table_1_s_own_row(local):
    """One Ladder network of profile paper does not hide what is whole in another."""
    assert held(local) == []
    fixture_store.build(local.root, "smoke")
    ladder = find_run("ladder-full-100-s3", profile("paper"))
    fixture_store.write(local, "paper", ladder)
    assert held(local) == ["paper", "smoke"]
    fixture_store.build(local.root, "quick")
    assert held(local) == ["quick", "paper", "smoke"]
    fixture_store.write(local, "paper", find_run("mnist-lvae_bn_wu-L5-s2", profile("paper")))
    assert held(local) == ["paper", "quick", "smoke"]


@pytest.mark.parametrize(("cuda", "name"), [(True, "paper"), (False, "quick")])
def test_the_published_protocol_is_trained_where_there_is_a_cuda_device(monkeypatch, cuda, name):
    monkeypatch.setattr(options, "has_cuda", lambda: cuda)
    assert options.profile_to_train(None).name == name


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(capsys, command):
    assert f"repro {command}" in told(capsys, command, "--help").partition("Examples:")[2]


def test_every_command_is_of_its_own_file_and_without_one_the_help_is_shown(capsys):
    assert [c.name or c.callback.__name__ for c in app.registered_commands] == [*COMMANDS]
    assert "Usage: repro" in told(capsys)


WRONG = [
    (["list", "--frobnicate"], 2, "--help`)"),
    (["show"], 2, "--help`)"),
    (["fly"], 2, "--help`)"),
    (["train", "--engine", "steam"], 2, "--help`)"),
    (["data", "eat"], 2, "--help`)"),
    (["list", "--profile", "enormous"], 2, "unknown profile 'enormous'"),
    (["train", "--profile", "enormous"], 2, "unknown profile 'enormous'"),
    (["publish", "--profile", "enormous"], 2, "unknown profile 'enormous'"),
    (["list", "--experiment", "figure99"], 2, "unknown experiment 'figure99'"),
    (["list", "--experiment", "combinators", "--profile", "quick"], 2, "use --profile paper"),
    (["train", "combinators", "figure5", "--profile", "quick"], 2, "use --profile paper"),
    (["bench", "--arms", "steam"], 2, "no arm matches 'steam': choose from eager single"),
    (["status", "--watch"], 2, "--watch"),  # without a terminal
    (["show", "mnist-vae-L9-s2"], 2, "'mnist-vae-L9-s2': the nearest are mnist-vae-L5-s2"),
    (["show", "nonsense", "--json"], 2, "unknown Run 'nonsense'"),
    (["show", LVAE, "--profile", "quick"], 3, f"`repro train {LVAE} --profile quick`"),
    (["check", "--store", "/nonexistent/store", "--profile", "quick"], 3, "/nonexistent/store"),
]


@pytest.mark.parametrize(("command", "code", "said"), WRONG)
def test_what_is_asked_wrongly_is_one_line_with_its_exit_code(local, capsys, command, code, said):
    assert said in refusal(capsys, *command, code=code)


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("25m", 1500), ("1.5h", 5400)])
def test_durations_are_read(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["25", "m", "-5m", "0s", "1h30m", "1e3s"])
def test_other_durations_are_refused(text):
    with pytest.raises(UsageError, match="write it like"):
        seconds(text)


def test_durations_are_said_in_a_fitting_unit():
    durations = (40, 720, 12_600, 400_000)
    assert [*map(in_words, durations)] == ["40 s", "12 min", "3.5 h", "4.6 days"]


def test_data_status_names_every_file(capsys, data_dir, tmp_path):
    link = tmp_path / "of [old] times"
    link.symlink_to(data_dir)
    out = told(capsys, "data", "status", "mnist", "--data-dir", str(link))
    assert "[old]" in out
    assert out.count("ubyte") >= 4
    assert out.count("ok") == 4


def test_a_closed_pipe_is_quiet(tmp_path):
    fixture_store.build(tmp_path, "quick")
    with subprocess.Popen(
        [sys.executable, "-m", "repro.cli", "show", LVAE, "--store", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize(
    "command",
    [
        ["score", "{}", "--run", LVAE],
        ["score", "{}.npy", "--run", LVAE, "--out", "{}"],
        ["bench", "--compare", "{}"],
        ["report", "--out", "{}"],
    ],
    ids=" ".join,
)
def test_no_path_is_judged_before_it_is_read(local, tmp_path, monkeypatch, capsys, command):
    """The parser would call an unreadable file wrong usage, exit 2; it is the data's fault, 3."""
    (tmp_path / "file").write_text("no images", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert run([word.format(tmp_path / "file") for word in command]) == 3
    assert "readable. (see" not in capsys.readouterr().err
