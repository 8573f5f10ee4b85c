"""Seeds of a training, as options and in Run ids."""

import re

import fixture_store
import pytest
from commands import LVAE, QUICK, VAE, one_line, quick_run, refusal, told
from fixture_data import refused

from repro.cli import run
from repro.errors import UsageError
from repro.plan.profiles import find_run
from repro.show import results

SEEDS = [
    (["--seed", "7"], [7]),
    (["--seed", "20260101"], [20260101]),
    (["--seeds", "2"], [1, 2]),
    (["--seeds", "3-5"], [3, 4, 5]),
    (["--seeds", "9, 2,4-5"], [2, 4, 5, 9]),
    (["--seeds", "20260101-20260102"], [20260101, 20260102]),
]


@pytest.mark.parametrize(("options", "expected"), SEEDS)
def test_seeds_are_how_many_or_which(local, capsys, options, expected):
    asked = ["train", "table1", "mnist-vae-L5-*", *options, "--profile", "quick", "--dry-run"]
    shown = re.findall("^  ([^:]+): missing", told(capsys, *asked), re.MULTILINE)
    assert shown == [f"{stem}{s}" for stem in (LVAE[:-1], VAE[:-1]) for s in expected]


NO_SEEDS = [
    (["--seeds", "20260101"], "at most 100 are trained at once: for that seed alone give --seed"),
    (["--seeds", "1-20260101"], "at most 100"),
    (["--seeds", "1-60,101-160"], "at most 100"),
    (["--seeds", "9" * 5000], "write it like"),
    (["--seeds", "5-3"], "range upward"),
    (["--seeds", "0"], "at least 1"),
    (["--seeds", "-1"], "at least 1"),
    (["--seeds", "0-3"], "write it like"),
    (["--seeds", ""], "empty: give it a value"),
    (["--seeds", "1.5"], "write it like"),
    (["--seeds", "\N{SUPERSCRIPT TWO}"], "write it like"),
    (["--seed", "0"], "--seed"),
    (["--seed", "9" * 30], "--seed"),
    (["--seed", "\N{SUPERSCRIPT TWO}"], "--seed"),
    (["--seed", "3", "--seeds", "3"], "give one of them"),
]


@pytest.mark.parametrize(("options", "said"), NO_SEEDS)
def test_what_names_no_seeds_or_too_many_is_refused(local, capsys, options, said):
    assert run(["train", "table1", *options, "--profile", "quick", "--dry-run"]) == 2
    assert said in one_line(capsys)


NO_SEED = ("\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}", "0", "-1", "01", "1 ", "")


@pytest.mark.parametrize("command", ["show", "evaluate"])
@pytest.mark.parametrize("end", NO_SEED)
def test_an_id_without_a_seed_is_no_run(local, capsys, command, end):
    assert "unknown Run" in refusal(capsys, command, VAE[:-1] + end, "--profile", "quick", code=2)


def test_a_seed_has_at_most_18_digits():
    assert find_run(VAE[:-1] + "1" * 18, QUICK).seed == int("1" * 18)
    with refused(UsageError, "unknown Run"):
        find_run(VAE[:-1] + "1" * 5000, QUICK)


def test_a_large_seed_counts_as_one_where_results_are_published(local):
    fixture_store.write(local, "quick", quick_run().with_seed(20260101))
    assert "1 of 4 configurations in 1 Run, 1 seed each," in results.page(local, QUICK)
