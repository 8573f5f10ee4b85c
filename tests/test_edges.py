"""The edge of the program: nothing to do, paths nobody can read, any terminal, stray folders."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from repro.show.style import save

import fixture_store
import pytest
from commands import LVAE, VAE, one_line, quick_run, refusal, told
from fixture_disk import unreadable
from rich.console import Console

from repro.cli import list as listing
from repro.cli import run
from repro.errors import MachineError, RecordError
from repro.plan.profiles import profile, runs
from repro.show import scripts
from repro.store import Store
from repro.store.files import write_file
from repro.store.places import ROOT

READERS = (["list"], ["show", LVAE], ["status"], ["check"], ["tables"])


def spelled(words: list[str], **places: Path) -> list[str]:
    """Words with paths in the place of their names."""
    for name, path in places.items():
        words = [word.replace(name, str(path)) for word in words]
    return words


def reading(command: list[str], store: Store) -> list[str]:
    """A command of READERS; tables are written beside the store."""
    out = ["--out", str(store.root.parent / "out")] if command == ["tables"] else []
    return [*command, *out, "--profile", "quick", "--store", str(store.root)]


@pytest.mark.parametrize(
    ("command", "looked"),
    [
        (["check", "--store", "EMPTY"], "EMPTY/quick/*/final.json"),
        (["check", "--store", "EMPTY", "--against", "STORE", "--strict"], "EMPTY/quick"),
        (["check", "--store", "STORE", "--against", "EMPTY", "--json"], "EMPTY/quick"),
        (["check", "--store", "STORE/quick", "--json"], "a profile's folder: name the one"),
        (["check", "--store", "ABOVE", "--json"], "a store lies below it: name STORE"),
        (["check", "--store", "STORE", "--profile", "paper"], "profile that it holds (quick)"),
        (["tables", "--store", "EMPTY", "--out", "OUT"], "EMPTY/quick"),
        (["figures", "--store", "EMPTY", "--out", "OUT"], "EMPTY/quick"),
        (["report", "--store", "EMPTY", "--out", "OUT"], "EMPTY/quick"),
        (["report", "--store", "STORE", "--profile", "smoke", "--out", "OUT"], "STORE/smoke"),
        (["verify", LVAE, "--store", "EMPTY", "--json"], "EMPTY/quick"),
        (["publish", "--profile", "quick"], "runs/quick"),
        (["evaluate", "--profile", "quick"], "runs/quick"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_to_compare_draw_or_publish_is_an_error(local, tmp_path, capsys, command, looked):
    above, empty, out = (tmp_path / name for name in ("a", "empty", "out"))
    empty.mkdir()
    there = fixture_store.build(above / "b", "quick").root
    *words, looked = spelled([*command, looked], EMPTY=empty, ABOVE=above, OUT=out, STORE=there)
    assert run(words) == 3
    said = capsys.readouterr()
    assert looked in said.err
    assert said.err.count("\n") == 1
    assert (json.loads(said.out)["error"] in said.err) if "--json" in words else not said.out
    assert not out.exists()


@pytest.mark.parametrize("here", ["quick", f"quick/{LVAE}"])
def test_a_place_inside_a_store_is_told_the_store(full, capsys, monkeypatch, here):
    monkeypatch.chdir(full.root / here)
    assert run(["check", "--store", ".", "--profile", "quick"]) == 3
    assert f"holds it, {full.root}" in one_line(capsys)


def test_a_store_is_compared_neither_with_itself_nor_where_no_run_is_in_both(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for place, run_id in (("here", LVAE), ("there", VAE)):
        fixture_store.build(Path(place), runs=[quick_run(run_id)])
    command = ["check", "--profile", "quick", "--store", "here", "--against"]
    assert "the very store" in refusal(capsys, *command, str(tmp_path / "here"))
    assert "no Run to compare" in refusal(capsys, *command, "there")


@pytest.mark.parametrize("place", ["quick", f"quick/{LVAE}/final.json"])
@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_a_place_that_may_not_be_read_is_not_empty(full, capsys, monkeypatch, place, command):
    unreadable(monkeypatch, full.root / place)
    if command == ["show", LVAE] and place == "quick":  # it may be searched, though not listed
        assert run(reading(command, full)) == 0
        return
    line = refusal(capsys, *reading(command, full))
    assert f"{full.root / place}: cannot read (Permission denied): make it readable" in line


def test_own_records_that_may_not_be_read_are_not_passed_over(local, capsys, monkeypatch):
    """For published ones, where no store is named."""
    fixture_store.build(local.root, runs=[quick_run(LVAE)])
    unreadable(monkeypatch, local.folder("quick"))
    assert "quick: cannot read (Permission denied)" in refusal(capsys, "check")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["check", "--store", "x" * 300], 3),
        (["check", "--store", "STORE", "--against", "x" * 300], 3),
        (["check", "--store", ""], 2),
        (["list", "--experiment", "", "--store", "STORE"], 2),
        (["train", "--budget", "", "--profile", "smoke", "--dry-run"], 2),
        (["show", "a\0b", "--store", "STORE"], 2),
        (["verify", "a\0b", "--store", "STORE"], 2),
        (["score", "FIFO", "--run", LVAE, "--store", "STORE"], 3),
        (["report", "--store", "STORE", "--out", "OUT\0"], 2),
        (["show", "x" * 300, "--store", "STORE"], 2),
        (["tables", "--store", "STORE", "--out", f"OUT/{'x' * 300}"], 3),
        (["data", "--data-dir", "x" * 300], 3),
        (["data", "--data-dir", "~nosuch/x"], 3),
        (["data", "verify", "--data-dir", "OUT\udcff"], 3),
        (["train", "--profile", "smoke", "--data-dir", "~nosuch/x", "--dry-run"], 3),
        (["score", "x" * 300, "--run", LVAE, "--store", "STORE"], 3),
    ],
)
def test_an_impossible_path_is_one_line(full, tmp_path, capsys, command, code):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert run(spelled(command, STORE=full.root, OUT=tmp_path / "out", FIFO=fifo)) == code
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("folder", "name a file"),
        ("file/x", "a file is in the place of"),
        ("file/x/y", "a file is in the place of a folder"),  # another error of the system
        ("x" * 300, "shorter"),
    ],
)
def test_a_place_that_cannot_be_written_has_a_remedy_that_helps(tmp_path, place, remedy):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MachineError, match=remedy):
        write_file(tmp_path / place, b"content")


def test_pipes_and_links_are_written_and_stay(tmp_path):
    pipe, link, linked = (tmp_path / name for name in ("pipe", "link", "linked"))
    os.mkfifo(pipe)
    link.symlink_to(linked)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    end, unnamed = os.pipe()  # as of `--out /dev/stdout | cat`
    for place in (pipe, link, Path(f"/dev/fd/{unnamed}")):
        write_file(place, b"content")
    assert os.read(reader, 100) == linked.read_bytes() == os.read(end, 100) == b"content"
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_an_unforeseen_error_of_the_system_is_one_line(local, capsys, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error", "/mnt/disk")

    monkeypatch.setattr(listing, "_rows", broken)
    assert "/mnt/disk: cannot use (Input/output error)" in refusal(capsys, "list")


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "gbk", "utf-8"])
@pytest.mark.parametrize(
    "command", [["check"], ["list"], ["tables"], ["show", LVAE, "--json"]], ids=lambda c: c[0]
)
def test_any_encoding_of_the_terminal_will_do(tmp_path, monkeypatch, encoding, command):
    named = fixture_store.build(tmp_path / "Ørsted 数据 \udcff", "quick")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert run([*command, "--store", str(named.root)]) == 0
    sys.stdout.seek(0)
    text = sys.stdout.read()
    assert text
    if "--json" in command:
        assert text.isascii()
        assert json.loads(text)["run"] == LVAE


def test_closed_output_is_no_error(full, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert run(["status", "--store", str(full.root)]) == 0
    assert run(["show", "nonsense", "--store", str(full.root)]) == 2


@pytest.mark.parametrize("name", [f"{VAE} (copy)", "mnist-vae-L5-s7"])  # no Run's, another's
@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_a_stray_folder_is_named_once_and_left_out(full, capsys, command, name):
    before = told(capsys, *reading(command, full))
    shutil.copytree(full.folder("quick", VAE), full.folder("quick", name))
    assert run(reading(command, full)) == 0
    after = capsys.readouterr()
    assert after.out == before
    named = 0 if command[0] == "show" else 1
    assert after.err.count(f"{name}: ") == after.err.count("\n") == named
    if name != "mnist-vae-L5-s7":
        return
    with pytest.raises(RecordError, match=f"holds a record of {VAE}"):
        full.record("quick", name)


def test_a_stray_that_cannot_be_looked_into_is_left_out(full, capsys):
    (full.folder("quick") / "lost+found").symlink_to("lost+found")
    assert run(["check", "--store", str(full.root)]) == 0
    assert capsys.readouterr().err.count("left out: ") == 1


def test_no_id_is_cut_on_a_narrow_terminal(full, capsys, monkeypatch):
    monkeypatch.setattr(listing, "screen", lambda: Console(width=40))
    out = told(capsys, "list", "--profile", "quick", "--store", str(full.root))
    assert all(r.id in out for r in runs(profile("quick")))


def test_a_script_runs_on_its_own_and_a_user_s_plotting_set_up_changes_no_figure(full, tmp_path):
    rc = b"axes.facecolor: red\nsavefig.dpi: 50\ntext.usetex: True\nbackend: no\nbad: \xff\n"
    own = {"MPLBACKEND": "module://matplotlib_inline", "PYTHONPATH": str(ROOT)}
    (tmp_path / "matplotlibrc").write_bytes(rc)
    where = ["--store", str(full.root), "--profile", "quick", "--out", "drawn"]
    subprocess.run(
        [sys.executable, str(ROOT / "figures" / "figure5.py"), *where],
        cwd=tmp_path, env={**os.environ, **own}, check=True,
    )  # fmt: skip
    clean = save(scripts.load("figures", "figure5").draw(full, "quick"), tmp_path / "figure5")
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "drawn").iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in clean}
