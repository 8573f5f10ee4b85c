"""Fetching: mirrors in turn, two processes at once, machines that cannot take the files."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import fixture_data
import pytest
from fixture_data import IMAGES, LABELS, dead_url, refused, serving, toy, toy_contents, whole
from fixture_disk import limited

from repro import data
from repro.data import idx
from repro.errors import DataError, MachineError
from repro.store.places import ROOT

pytestmark = pytest.mark.usefixtures("no_settings")


def test_missing_files_come_from_the_first_mirror_and_stay(tmp_path, capfd):
    """What a killed fetch left is swept."""
    leftover = tmp_path / "toy" / ".fetch-killed"
    leftover.mkdir(parents=True)
    (leftover / "part").write_bytes(b"half a file")
    with serving(whole) as good, serving(whole) as spare:
        mirrored = toy(mirrors=(good.url, spare.url))
        images = data.load_set(mirrored, tmp_path)
        assert (images.source, images.train.tobytes()) == ("127.0.0.1", toy_contents()[IMAGES][16:])
        assert not leftover.exists()
        assert data.load_set(mirrored, tmp_path).source == "local folder"
        (tmp_path / "toy" / f"{LABELS}.gz").unlink()
        data.load_set(mirrored, tmp_path)
    assert good.seen == [*(f"/{name}.gz" for name in idx.NAMES), f"/{LABELS}.gz"]
    assert spare.seen == []
    assert capfd.readouterr() == ("", "")  # no bar off a terminal


def astray(handler: fixture_data.Handler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://[x")
    handler.end_headers()


FAULTS = [fixture_data.absent, fixture_data.wrong, fixture_data.truncated, astray]


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_mirror_that_fails_the_next_is_asked_first_and_nothing_is_left(fault, tmp_path):
    with serving(fault) as bad, serving(whole) as good:
        with pytest.raises(DataError):
            data.load_set(toy(mirrors=(bad.url,)), tmp_path)
        assert [p.name for p in (tmp_path / "toy").iterdir()] == [".lock"]
        images = data.load_set(toy(mirrors=(bad.url, good.url)), tmp_path)
    assert images.train.tobytes() == toy_contents()[IMAGES][16:]
    assert (len(bad.seen), len(good.seen)) == (2, 4)


def test_file_that_the_server_sends_as_an_encoding_is_kept_unpacked(tmp_path):
    with serving(fixture_data.as_encoding) as good:
        data.load_set(toy(mirrors=(good.url,)), tmp_path)
    assert (tmp_path / "toy" / IMAGES).read_bytes() == toy_contents()[IMAGES]


def test_dead_mirrors_are_named_with_folder_and_remedy(tmp_path):
    with serving(fixture_data.absent) as gone, serving(fixture_data.wrong) as other:
        localhost = other.url.replace("127.0.0.1", "localhost")
        dead = toy(mirrors=(gone.url, localhost, dead_url(), "http://[bad"))
        faults = ("127.0.0.1: HTTP 404", "localhost: wrong content", "127.0.0.1: no connection")
        faults += ("http://[bad: InvalidURL",)
        with refused(DataError, *faults, str(tmp_path / "toy"), "--data-dir", "REPRO_DATA"):
            data.load_set(dead, tmp_path)


def test_download_that_outgrows_its_file_is_cut_off(tmp_path):
    sent = []

    def long(handler: fixture_data.Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(64):
            handler.wfile.write(bytes(1 << 20))
            sent.append(1)

    with serving(long) as bad, refused(DataError, "wrong content"):
        data.load_set(toy(mirrors=(bad.url,)), tmp_path)
    assert len(sent) < 32


def test_mirrors_of_the_environment_replace_the_public_ones(tmp_path, monkeypatch):
    with serving(whole) as public, serving(whole) as own:
        monkeypatch.setenv("REPRO_MIRRORS", f"{dead_url()} {own.url}/copy/")
        data.load_set(toy(mirrors=(public.url,)), tmp_path)
    assert own.seen[0] == f"/copy/toy/{IMAGES}.gz"
    assert public.seen == []


def test_two_processes_fetch_each_file_once_between_them(data_dir, tmp_path):
    def slow(handler: fixture_data.Handler) -> None:
        time.sleep(0.3)
        fixture_data.reply(handler, (data_dir / handler.path.lstrip("/")).read_bytes())

    with serving(slow) as mirror:
        env = os.environ | {"REPRO_DATA": str(tmp_path), "REPRO_MIRRORS": mirror.url}
        code = "from repro import data; print({s.state for s in data.fetch()})"
        command = [sys.executable, "-c", code]
        both = [
            subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        assert [p.communicate()[0] for p in both] == ["{'ok'}\n"] * 2
    assert sorted(mirror.seen) == sorted(f"/mnist/{name}.gz" for name in idx.NAMES)


def test_a_folder_that_cannot_be_made_or_written_to_is_a_machine_error(tmp_path):
    (tmp_path / "file").touch()
    with refused(MachineError, str(tmp_path / "file"), "--data-dir", "a file is in the place of"):
        data.load_set(toy(), tmp_path / "file")
    with serving(whole) as good, limited(tmp_path / "disk") as disk:
        small = toy(mirrors=(good.url,))
        huge = replace(small, files=tuple(replace(f, size=10**18) for f in small.files))
        with refused(MachineError, str(disk.root), "free some space"):
            data.load_set(huge, disk.root)
        assert good.seen == []
        with disk.full(), refused(MachineError, str(disk.root), "File too large"):
            data.load_set(small, disk.root)
        assert [p.name for p in (disk.root / "toy").iterdir()] == [".lock"]
