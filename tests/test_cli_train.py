"""`repro train` and `evaluate`: what reaches the engine, and what its outcome means."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace

import fixture_store
import pytest
from commands import LVAE, QUICK, VAE, one_line, quick_run

from repro.cli import run
from repro.cli.shared import planned
from repro.machine import toolchain
from repro.plan.experiments.grid import VARIANTS
from repro.plan.profiles import runs


def outcome(**parts):
    return SimpleNamespace(**{"done": [], "diverged": [], "failed": {}, "unfinished": [], **parts})


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An engine that notes what it was asked for and answers with `engine.answer`."""
    from repro.machine import local as engine_local
    from repro.machine import rescoring

    noted = SimpleNamespace(answer=outcome(), calls=[])

    def note(asked, store, profile_name, options, *_):
        noted.calls.append((asked, store, profile_name, options))
        if isinstance(noted.answer, BaseException):
            raise noted.answer
        return noted.answer

    monkeypatch.setattr(engine_local, "train", note)
    monkeypatch.setattr(rescoring, "evaluate", note)
    return noted


def test_a_dry_run_trains_nothing_and_says_what_it_would(local, engine, capsys):
    assert run(["train", "--profile", "quick", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert all(r.id in out for r in runs(QUICK))
    assert "predicted time here" in out
    assert engine.calls == []
    assert not local.root.exists()


def test_only_what_is_not_finished_is_trained(local, engine):
    fixture_store.write(local, "quick", quick_run())
    fixture_store.diverge(local, "quick", quick_run(VAE), epoch=2)
    assert run(["train", "--profile", "quick"]) == 0
    ((asked, store, name, _),) = engine.calls
    assert [r.id for r in asked] == [r.id for r in runs(QUICK) if r.id not in (LVAE, VAE)]
    assert (store.root, name) == (local.root, "quick")


def test_without_a_name_only_mnist_is_trained(local, engine):
    assert run(["train", "--profile", "quick"]) == 0
    ((asked, _, _, _),) = engine.calls
    assert {r.data.name for r in asked} == {"mnist"}


@pytest.mark.parametrize("name", ["omniglot", "figure8"])
def test_an_experiment_of_omniglot_trains_its_four_deepest_variants_in_quick(local, engine, name):
    assert run(["train", name, "--profile", "quick"]) == 0
    ((asked, _, _, _),) = engine.calls
    assert [r.id for r in asked] == [f"omniglot-{v}-L5-s1" for v in VARIANTS]


NAMED = [
    ([LVAE], [LVAE]),
    (["mnist-lvae_bn_wu-L5-s7"], ["mnist-lvae_bn_wu-L5-s7"]),
    (["mnist-lvae_bn_wu-L3-s1"], ["mnist-lvae_bn_wu-L3-s1"]),  # not of the profile, but named
    (["ladder-full-100-s3", LVAE], ["ladder-full-100-s3", LVAE]),
    (["mnist-vae*-L5-s2"], [f"mnist-{v}-L5-s2" for v in VARIANTS if v.startswith("vae")]),
    (["omniglot-lvae_bn_wu-*"], ["omniglot-lvae_bn_wu-L5-s1"]),
    (["table1", LVAE, "mnist-lvae_bn_w?-L5-s1"], [LVAE]),
]


@pytest.mark.parametrize(("names", "ids"), NAMED)
def test_runs_are_trained_by_name_and_by_pattern_each_once(local, engine, names, ids):
    assert run(["train", *names, "--profile", "quick"]) == 0
    ((asked, _, _, _),) = engine.calls
    assert [r.id for r in asked] == ids


def test_seeds_are_those_of_experiments_and_of_patterns_without_one(local, engine, capsys):
    names = ["table1", "mnist-vae-L5-s*", "mnist-vae_bn-L5-s3"]
    assert run(["train", *names, "--seeds", "2", "--profile", "quick"]) == 0
    ((asked, _, _, _),) = engine.calls
    ids = [*(f"{LVAE[:-1]}{s}" for s in (1, 2)), *(f"mnist-vae-L5-s{s}" for s in (1, 2))]
    assert [r.id for r in asked] == [*ids, "mnist-vae_bn-L5-s3"]
    capsys.readouterr()
    assert run(["train", LVAE, "--seeds", "2", "--profile", "quick"]) == 2
    assert "names its seed" in one_line(capsys)


def test_the_command_that_continues_names_the_same_seeds(local, engine, capsys):
    engine.answer = KeyboardInterrupt()
    for asked in (["--seed", "7"], ["--seeds", "3-5"]):
        assert run(["train", "table1", "--profile", "quick", *asked]) == 130
        assert f"--profile quick {' '.join(asked)}\n" in capsys.readouterr().out


UNKNOWN = [
    ("mnist-lvae_bn_wu-L6-s1", LVAE),
    ("tabel1", "table1"),
    ("mnist-*-L9-s1", "repro list"),
    ("mnist-vae-L5-s0", "mnist-vae-L5-s1"),
    ("mnist-vae-L5-s\N{SUPERSCRIPT TWO}", "mnist-vae-L5-s1"),
    ("mnist-vae-L5-s" + "1" * 5000, "repro list"),
]


@pytest.mark.parametrize(("name", "near"), UNKNOWN)
def test_an_unknown_name_is_answered_with_the_nearest_known(local, engine, capsys, name, near):
    assert run(["train", name, "--profile", "quick"]) == 2
    assert near in one_line(capsys)
    assert engine.calls == []


def test_table_2_is_trained_as_far_as_there_are_data(local, engine, capsys, tmp_path):
    assert run(["train", "table2", "--profile", "quick", "--data-dir", str(tmp_path)]) == 0
    ((asked, _, _, _),) = engine.calls
    assert [r.id for r in asked] == [f"omniglot-{v}-L5-s1" for v in VARIANTS]
    assert "norb: data missing" in capsys.readouterr().out


def test_when_all_is_finished_nothing_is_trained(full, engine):
    assert run(["train", "--profile", "quick"]) == 0
    assert engine.calls == []


def test_options_reach_the_engine(local, engine, tmp_path):
    arguments = ["--seeds", "2", "--budget", "25m", "--engine", "eager", "--threads", "1"]
    arguments += ["--lanes", "3"]
    where = ["--data-dir", str(tmp_path), "--profile", "quick"]
    assert run(["train", "table1", *arguments, *where]) == 0
    ((asked, _, _, options),) = engine.calls
    assert [r.seed for r in asked] == [1, 2]
    assert options.budget_seconds == 1500
    assert (options.engine, options.threads, options.data_dir) == ("eager", 1, tmp_path)
    assert options.lanes == 3
    assert (options.precision, options.scoring_rows) == (None, None)


def test_precision_and_chunk_size_reach_the_engine(full, local, engine):
    more = ["--precision", "float32", "--rows", "512", "--profile", "quick"]
    assert run(["train", "--seeds", "2", *more]) == 0
    assert run(["evaluate", *more]) == 0
    for *_, options in engine.calls:
        assert (options.precision, options.scoring_rows) == ("float32", 512)


def test_tensorboard_reaches_the_engine_and_is_kept_when_continuing(local, engine, capsys):
    engine.answer = outcome(unfinished=[LVAE])
    assert run(["train", "table1", "--profile", "quick", "--tensorboard"]) == 0
    assert engine.calls[0][-1].tensorboard
    out = capsys.readouterr().out
    assert f"tensorboard --logdir {local.root / 'quick' / '.tensorboard'}" in out
    assert "repro train table1 --profile quick --tensorboard" in out


def test_an_ended_budget_says_what_is_left_and_how_to_continue(local, engine, capsys):
    engine.answer = outcome(unfinished=[LVAE])
    assert run(["train", "table1", "--profile", "quick", "--budget", "25m"]) == 0
    out = capsys.readouterr().out
    assert LVAE in out
    assert "repro train table1 --profile quick --budget 25m" in out


@pytest.mark.parametrize("parts", [{"diverged": [VAE]}, {"failed": {VAE: "out of memory"}}])
def test_a_failed_or_diverged_run_exits_4_and_is_named(local, engine, capsys, parts):
    engine.answer = outcome(**parts)
    assert run(["train", "--profile", "quick"]) == 4
    assert VAE in capsys.readouterr().err


def test_an_interrupt_exits_130(local, engine, capsys):
    engine.answer = KeyboardInterrupt()
    assert run(["train", "--profile", "quick"]) == 130
    assert capsys.readouterr().err == "repro: interrupted\n"


def test_an_interrupt_says_how_to_continue(local, engine, capsys):
    engine.answer = KeyboardInterrupt()
    again = ["train", "table1", "--profile", "quick", "--seeds", "2", "--lanes", "1"]
    assert run(again) == 130
    out = capsys.readouterr().out
    assert f"continue with: repro {' '.join(again)}\n" in out


def test_without_ray_its_engine_is_a_machine_error(local, engine, capsys, monkeypatch):
    monkeypatch.setattr(planned, "find_spec", lambda _: None)
    assert run(["train", "--profile", "quick", "--engine", "ray"]) == 3
    assert "not installed here: `pip install -r requirements-extras.txt`" in capsys.readouterr().err
    assert engine.calls == []


def test_an_address_without_ray_s_engine_is_a_usage_error(local, engine, capsys):
    assert run(["train", "--profile", "quick", "--address", "auto"]) == 2
    assert "--address auto: only --engine ray has one" in one_line(capsys)


def test_ray_gets_the_address_and_picks_steps_itself(local, capsys, monkeypatch):
    cluster = pytest.importorskip(
        "repro.machine.ray.cluster", reason="needs requirements-extras.txt"
    )
    calls = []

    def train(*_, address):
        calls.append((_[-1].engine, address))
        return outcome(unfinished=[LVAE])

    monkeypatch.setattr(cluster, "train", train)
    ray = ["--engine", "ray", "--address", "head:6379"]
    assert run(["train", "--profile", "quick", "--budget", "25m", *ray]) == 0
    assert calls == [("auto", "head:6379")]
    again = "repro train --profile quick --budget 25m --engine ray --address head:6379"
    assert f"continue with: {again}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "seconds"), [("90s", 90.0), ("5m", 300.0), (None, None)])
def test_how_often_a_checkpoint_is_saved_reaches_the_engine(given, seconds, local, engine, capsys):
    engine.answer = outcome(unfinished=[LVAE])
    every = ["--checkpoint-every", given] if given else []
    assert run(["train", "--profile", "quick", *every]) == 0
    assert [call[-1].checkpoint_seconds for call in engine.calls] == [seconds]
    again = " ".join(["repro train --profile quick", *every])
    assert f"continue with: {again}\n" in capsys.readouterr().out


def test_too_little_disk_is_said_before_training(local, engine, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(planned.shutil, "disk_usage", lambda _: usage(10, 9, 1))
    assert run(["train", "--profile", "quick"]) == 3
    assert "free some space" in capsys.readouterr().err
    assert engine.calls == []


def test_without_a_compiler_training_says_that_it_is_eager(local, engine, capsys, monkeypatch):
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: toolchain.NO_COMPILER)
    assert run(["train", "--profile", "quick"]) == 0
    assert capsys.readouterr().out.count("no C++ compiler found") == 1


def test_compiling_without_a_compiler_is_a_machine_error(local, engine, capsys, monkeypatch):
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: toolchain.NO_COMPILER)
    assert run(["train", "--profile", "quick", "--engine", "compiled"]) == 3
    assert "install g++" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["captured", "graph"])
def test_capturing_without_a_device_is_a_machine_error(name, local, engine, capsys, monkeypatch):
    monkeypatch.setattr(planned, "has_cuda", lambda: False)
    assert run(["train", "--profile", "quick", "--engine", name]) == 3
    assert f"--engine {name}: no CUDA device found: use compiled" in capsys.readouterr().err
    assert engine.calls == []


def test_a_graph_without_a_compiler_is_a_machine_error(local, engine, capsys, monkeypatch):
    monkeypatch.setattr(planned, "has_cuda", lambda: True)
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: toolchain.NO_COMPILER)
    assert run(["train", "--profile", "quick", "--engine", "graph"]) == 3
    assert "install g++, or use captured" in capsys.readouterr().err


def test_evaluate_takes_every_finished_run(local, engine):
    fixture_store.write(local, "quick", quick_run())
    fixture_store.diverge(local, "quick", quick_run(VAE), epoch=2)
    assert run(["evaluate", "--profile", "quick"]) == 0
    assert [call[0] for call in engine.calls] == [[LVAE]]


def test_evaluate_of_an_unknown_run_is_a_usage_error(full, engine, capsys):
    assert run(["evaluate", "nonsense", "--profile", "quick"]) == 2
    assert "unknown Run" in one_line(capsys)
