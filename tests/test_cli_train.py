"""`repro train` and `evaluate`: what reaches the engine, and what its outcome means."""

import shlex
from collections import namedtuple
from types import SimpleNamespace

import fixture_store
import pytest
from commands import LVAE, QUICK, VAE, quick_run, refusal, told

from repro.cli import run
from repro.cli.shared import planned
from repro.machine import local as engine_local
from repro.machine import rescoring, toolchain
from repro.machine.work import Options, Outcome
from repro.plan.experiments.ablations import OF_VAES
from repro.plan.experiments.grid import VARIANTS
from repro.plan.profiles import runs

HERE = ["--profile", "quick"]
VAES = [*(v for v in VARIANTS if v.startswith("vae")), *(c.variant for c in OF_VAES)]
OMNIGLOT = [f"omniglot-{v}-L5-s1" for v in VARIANTS]


@pytest.fixture
def engine(monkeypatch):
    """An engine that notes what it was asked for and answers with `engine.answer`."""
    noted = SimpleNamespace(answer=Outcome(), calls=[])

    def note(asked, store, profile_name, options, *_, **where):
        noted.calls.append((asked, store, profile_name, options, *where.values()))
        if isinstance(noted.answer, BaseException):
            raise noted.answer
        return noted.answer

    monkeypatch.setattr(engine_local, "train", note)
    monkeypatch.setattr(rescoring, "evaluate", note)
    noted.note = note
    return noted


def asked_of(engine) -> list[str]:
    """The Runs that it was to train."""
    ((asked, *_),) = engine.calls
    return [r.id for r in asked]


def test_a_dry_run_trains_nothing_and_says_what_it_would(local, engine, capsys):
    out = told(capsys, "train", *HERE, "--dry-run")
    assert all(r.id in out for r in runs(QUICK))
    assert "predicted time here" in out
    assert engine.calls == []
    assert not local.root.exists()


def test_what_is_not_finished_is_trained_until_all_is_and_what_is_done_evaluated(local, engine):
    fixture_store.write(local, "quick", quick_run())
    fixture_store.diverge(local, "quick", quick_run(VAE), epoch=2)
    assert run(["train", *HERE]) == 0
    assert asked_of(engine) == [r.id for r in runs(QUICK) if r.id not in (LVAE, VAE)]
    assert [(store.root, name) for _, store, name, _ in engine.calls] == [(local.root, "quick")]
    assert run(["evaluate", *HERE]) == 0
    assert engine.calls[1][0] == [LVAE]
    fixture_store.build(local.root, "quick")
    assert run(["train", *HERE]) == 0
    assert len(engine.calls) == 2


NAMED = [
    ([], [r.id for r in runs(QUICK, ["mnist"])]),
    (["omniglot"], OMNIGLOT),
    (["figure8"], OMNIGLOT),
    ([LVAE], [LVAE]),
    (["mnist-lvae_bn_wu-L5-s7"], ["mnist-lvae_bn_wu-L5-s7"]),
    (["mnist-lvae_bn_wu-L3-s1"], ["mnist-lvae_bn_wu-L3-s1"]),  # not of the profile, but named
    (["mnist-lvae_bn_wu_ft-L5-s1"], [LVAE, "mnist-lvae_bn_wu_ft-L5-s1"]),  # and its start
    (["ladder-full-100-s3", LVAE], ["ladder-full-100-s3", LVAE]),
    (["mnist-vae*-L5-s2"], [f"mnist-{v}-L5-s2" for v in VAES]),
    (["omniglot-lvae_bn_wu-*"], ["omniglot-lvae_bn_wu-L5-s1"]),
    (["table1", LVAE, "mnist-lvae_bn_w?-L5-s1"], [LVAE]),
    (
        ["table1", "mnist-vae-L5-s*", "mnist-vae_bn-L5-s3", "--seeds", "2"],
        [LVAE, f"{LVAE[:-1]}2", "mnist-vae-L5-s1", "mnist-vae-L5-s2", "mnist-vae_bn-L5-s3"],
    ),
]


@pytest.mark.parametrize(("names", "ids"), NAMED)
def test_runs_are_trained_by_name_and_by_pattern_each_once(local, engine, names, ids):
    assert run(["train", *names, *HERE]) == 0
    assert asked_of(engine) == ids


UNKNOWN = [
    (["mnist-lvae_bn_wu-L6-s1"], LVAE),
    (["tabel1"], "table1"),
    (["mnist-*-L9-s1"], "repro list"),
    (["mnist-vae-L5-s0"], "mnist-vae-L5-s1"),
    (["mnist-vae-L5-s\N{SUPERSCRIPT TWO}"], "mnist-vae-L5-s1"),
    (["mnist-vae-L5-s" + "1" * 5000], "repro list"),
    ([LVAE, "--seeds", "2"], "names its seed"),
    (["--address", "auto"], "--address auto: only --engine ray has one"),
]


@pytest.mark.parametrize(("asked", "said"), UNKNOWN)
def test_what_names_no_run_is_answered_with_the_nearest_known(local, engine, capsys, asked, said):
    assert said in refusal(capsys, "train", *asked, *HERE, code=2)
    assert engine.calls == []


def test_table_2_is_trained_as_far_as_there_are_data(local, engine, capsys, tmp_path):
    said = told(capsys, "train", "table2", *HERE, "--data-dir", str(tmp_path))
    assert asked_of(engine) == OMNIGLOT
    assert "norb: data missing" in said


def test_options_reach_the_engine_which_decides_on_those_left_out(full, engine, tmp_path):
    both = f"--precision float32 --rows 512 --threads 1 --data-dir {tmp_path} --profile quick"
    alone = "--seeds 2 --budget 25m --engine eager --lanes 3 --checkpoint-every 5m"
    bare = "train omniglot --profile quick"
    for command in (f"train table1 {alone} {both}", f"evaluate {both}", bare):
        assert run(command.split()) == 0
    asked = {"precision": "float32", "scoring_rows": 512, "threads": 1, "data_dir": tmp_path}
    trained = {"budget_seconds": 1500, "checkpoint_seconds": 300, "engine": "eager", "lanes": 3}
    expected = [Options(**trained, **asked), Options(**asked), Options(compiler_told=True)]
    assert [call[-1] for call in engine.calls] == expected


CONTINUING = [
    ["--seed", "7"],
    ["--seeds", "3-5"],
    ["--seeds", "2", "--budget", "25m", "--lanes", "1"],
    ["--checkpoint-every", "90s", "--tensorboard"],
    ["--engine", "eager", "--data-dir", "/mnt/other sets", "--threads", "1", "--rows", "640"],
    ["--precision", "float32"],
]


@pytest.mark.parametrize("asked", CONTINUING, ids=" ".join)
def test_what_was_interrupted_or_ran_out_of_time_continues(local, engine, capsys, asked):
    again = ["train", "table1", *HERE, *asked]
    engine.answer = KeyboardInterrupt()
    assert run(again) == 130
    interrupted = capsys.readouterr()
    assert interrupted.err == "repro: interrupted\n"
    engine.answer = Outcome(unfinished=[LVAE])
    ended = told(capsys, *again)
    assert f"1 Runs left ({LVAE})" in ended
    for out in (interrupted.out, ended):
        assert f"continue with: repro {shlex.join(again)}\n" in out
        watched = f"tensorboard --logdir {local.root / 'quick' / '.tensorboard'}" in out
        assert watched == ("--tensorboard" in asked) == engine.calls[0][-1].tensorboard


def test_a_failed_or_diverged_run_exits_4_and_is_named(local, engine, capsys):
    for outcome in (Outcome(diverged=[VAE]), Outcome(failed={VAE: "out of memory"})):
        engine.answer = outcome
        assert run(["train", *HERE]) == 4
        assert VAE in capsys.readouterr().err


def test_ray_gets_the_address_and_picks_steps_itself(local, engine, capsys, monkeypatch):
    cluster = "repro.machine.ray.cluster"
    pytest.importorskip(cluster, reason="needs requirements-extras.txt")
    monkeypatch.setattr(f"{cluster}.train", engine.note)
    engine.answer = Outcome(unfinished=[LVAE])
    asked = ["--budget", "25m", "--engine", "ray", "--address", "head:6379"]
    said = told(capsys, "train", *HERE, *asked)
    ((*_, options, address),) = engine.calls
    assert (options.engine, address) == ("auto", "head:6379")
    assert f"continue with: repro train --profile quick {' '.join(asked)}\n" in said


CUDA = ("has_cuda", lambda: True)
NO_CUDA = ("has_cuda", lambda: False)
NO_RAY = ("find_spec", lambda _: None)
NO_COMPILER = ("toolchain.compiler_fault", lambda: toolchain.NO_COMPILER)
FULL_DISK = ("shutil.disk_usage", lambda _: namedtuple("usage", "total used free")(10, 9, 1))
IMPOSSIBLE = [
    ([], [FULL_DISK], "free some space"),
    (["--engine", "ray"], [NO_RAY], "`pip install -r requirements-extras.txt`"),
    (["--engine", "captured"], [NO_CUDA], "--engine captured: no CUDA device found: use compiled"),
    (["--engine", "graph"], [NO_CUDA], "--engine graph: no CUDA device found: use compiled"),
    (["--engine", "graph"], [CUDA, NO_COMPILER], "install g++, or use captured"),
    (["--engine", "compiled"], [NO_COMPILER], "install g++, or use eager"),
]


@pytest.mark.parametrize(("asked", "machine", "said"), IMPOSSIBLE)
def test_what_cannot_be_is_said_first(local, engine, capsys, monkeypatch, asked, machine, said):
    for name, value in machine:
        monkeypatch.setattr(f"{planned.__name__}.{name}", value)
    assert run(["train", *HERE, *asked]) == 3
    assert said in capsys.readouterr().err
    assert engine.calls == []


def test_without_a_compiler_training_says_that_it_is_eager(local, engine, capsys, monkeypatch):
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: toolchain.NO_COMPILER)
    assert told(capsys, "train", *HERE).count("no C++ compiler found") == 1
