"""Hostile archives: whatever their members are called, nothing appears outside of the data folder,
and nothing in it but what was put there."""

from __future__ import annotations

import gzip
import io
import stat
import time
import zipfile
from copy import copy
from pathlib import Path

import fixture_data
import pytest
from fixture_data import refused
from fixture_omniglot import TOPS, archives, drawn, fill, name_of, packed, paper, png, toy

from repro import data
from repro.data import originals
from repro.data.sources import DamageError
from repro.errors import DataError

pytestmark = pytest.mark.usefixtures("no_settings")

ARCHIVE = f"{TOPS[0]}.zip"
FIRST = name_of(TOPS[0], "Armenian", 1, 1)
OUTSIDE = [
    "../../evil.png",
    f"{TOPS[0]}/../../../evil.png",
    "{tmp}/evil.png",
    f"{TOPS[0]}/Armenian/character01/../../../../evil.png",
    "..\\..\\evil.png",
    "C:evil.png",
]
SECONDS, MEGABYTES = 5.0, 64
CLAIMED = 4000  # members that are all the same bytes


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_member_that_names_a_place_outside_is_written_nowhere(name: str, tmp_path: Path) -> None:
    place, name = tmp_path / "far" / "down" / "data", name.format(tmp=tmp_path)
    fill(place, archives() | {ARCHIVE: packed(drawn(TOPS[0]) | {name: png(paper(0))})})
    before = everything(tmp_path)
    with refused(DataError, ARCHIVE, "would leave its folder", "delete it"):
        data.load_set(toy(), place)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_mirror_s_archive_that_names_a_place_outside_is_written_nowhere(
    name: str, tmp_path: Path
) -> None:
    hostile = packed(drawn(TOPS[0]) | {name.format(tmp=tmp_path): png(paper(0))})
    place = tmp_path / "far" / "down" / "data"
    place.mkdir(parents=True)
    answer = fixture_data.files(archives() | {ARCHIVE: hostile})
    with fixture_data.serving(answer) as mirror, refused(DataError, ARCHIVE, "wrong content"):
        data.load_set(toy(mirrors=(mirror.url,)), place)
    left = {p for p in everything(tmp_path) if not p.endswith(".lock")}
    assert left == {"far", "far/down", "far/down/data", "far/down/data/omniglot"}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(paper(0)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in drawn(TOPS[0]).items():
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            link_to = str(tmp_path / "secret.png").encode()
            archive.writestr(link, link_to if name == FIRST else content)
    with pytest.raises(DamageError, match="no readable PNG"):
        originals.read(out.getvalue(), TOPS[0])


def test_an_archive_whose_members_are_one_and_the_same_is_refused_in_little_time() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FIRST, bytes(originals.MEMBER_BYTES))
        for n in range(CLAIMED):
            member = copy(archive.filelist[0])
            member.filename = name_of(TOPS[0], f"A{n // 20}", 1, n % 20 + 1)
            archive.filelist.append(member)
    start = time.process_time()
    with fixture_data.at_most(MEGABYTES << 20), pytest.raises(DamageError):
        originals.read(out.getvalue(), TOPS[0])
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil"])
def test_the_name_inside_a_gzip_file_means_nothing(name: str, tmp_path: Path) -> None:
    place = tmp_path / "far" / "down" / "data"
    folder, out = fixture_data.fill(place), io.BytesIO()
    content = fixture_data.toy_contents()[fixture_data.IMAGES]
    with gzip.GzipFile(name, "wb", fileobj=out) as packer:
        packer.write(content)
    (folder / f"{fixture_data.IMAGES}.gz").write_bytes(out.getvalue())
    before = everything(tmp_path)
    assert data.load_set(fixture_data.toy(), place).train.tobytes() in content
    assert everything(tmp_path) == before
