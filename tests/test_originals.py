"""The originals of OMNIGLOT: read from their archives, refused where damaged, scaled down.

Whatever the members of a hostile archive are called, nothing appears outside of the data folder,
and nothing in it but what was put there.
"""

import gzip
import hashlib
import io
import stat
import time
import zipfile
from copy import copy
from pathlib import Path

import fixture_data
import fixture_omniglot as small
import numpy as np
import pytest
from fixture_data import at_most, refused
from fixture_omniglot import (
    TOPS,
    archives,
    drawn,
    fill,
    name_of,
    packed,
    paper,
    png,
    recognised,
    toy,
)

from repro import data
from repro.data import originals
from repro.data.images import Images
from repro.data.sources import DamageError
from repro.errors import DataError

BACKGROUND = f"{TOPS[0]}.zip"
FIRST = name_of(TOPS[0], "Armenian", 1, 1)


pytestmark = pytest.mark.usefixtures("no_settings")


def refuse(members: small.Members | list[tuple[str, bytes]], *parts: str) -> None:
    with pytest.raises(DamageError) as caught:
        originals.read(packed(members), TOPS[0])
    assert [p for p in parts if p not in str(caught.value)] == [], caught.value


def test_ink_is_what_is_not_paper() -> None:
    ink = np.zeros((1, 105, 14), np.uint8)
    assert (originals.scaled(ink) == 255).all()
    assert (originals.scaled(ink + 255) == 0).all()


def test_a_small_pixel_is_the_share_of_ink_under_it() -> None:
    pixels = paper(1)
    grey = originals.scaled(np.packbits(pixels, axis=1)[None]).reshape(28, 28)
    fine = np.kron(1 - pixels, np.ones((4, 4)))  # 420 x 420: 15 x 15 under each small pixel
    share = fine.reshape(28, 15, 28, 15).mean((1, 3))
    np.testing.assert_array_equal(grey, np.rint(255 * share))


@pytest.fixture
def few(tmp_path: Path) -> Images:
    fill(tmp_path, archives())
    return data.load_set(toy(), tmp_path)


def test_drawers_1_to_15_train_and_the_others_test(few: Images) -> None:
    drawers = [
        sorted(recognised()[image.tobytes()][2] for image in part) for part in (few.train, few.test)
    ]
    expected = [[d for d in drawers for _ in range(6)] for drawers in (range(1, 16), range(16, 21))]
    assert drawers == expected


def test_alphabets_of_both_archives_are_the_labels(few: Images) -> None:
    for images, labels in ((few.train, few.train_labels), (few.test, few.test_labels)):
        drawn_in = [recognised()[image.tobytes()][0] for image in images]
        assert drawn_in == [("Armenian", "Bengali", "Greek")[label] for label in labels]


def test_the_first_images_are_a_fair_sample(few: Images) -> None:
    names = ["/".join(map(str, recognised()[image.tobytes()])) for image in few.test]
    assert names == sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert len(set(few.test_labels[:10])) == 3


def test_the_same_drawings_packed_otherwise_are_the_same_data(tmp_path: Path) -> None:
    turned = dict(reversed(drawn(TOPS[0]).items()))
    folders = {f"{TOPS[0]}/": b"", f"{TOPS[0]}/Greek/": b"", "__MACOSX/._x": b"x"}
    fill(tmp_path, archives() | {BACKGROUND: packed(folders | turned)})
    assert data.load_set(toy(), tmp_path).version == "rebuilt"
    assert sorted(p.name for p in (tmp_path / "omniglot").iterdir()) == sorted(archives())


@pytest.mark.parametrize(
    "name",
    ["images_evaluation/Greek/character01/0001_01.png", f"{TOPS[0]}/Greek/0001_01.png", "x.txt"],
)
def test_a_member_that_is_no_drawing_is_refused(name: str) -> None:
    refuse(drawn(TOPS[0]) | {name: b""}, name, "is no drawing")


def test_a_drawing_that_is_missing_or_too_many_is_refused() -> None:
    members = drawn(TOPS[0])
    without = {n: content for n, content in members.items() if n != FIRST}
    refuse(without, "Armenian, character 1", "drawers [2, 3,", "expected 1 to 20")
    refuse(members | {name_of(TOPS[0], "Greek", 1, 21): png(paper(0))}, "20, 21]")
    refuse([*members.items(), (FIRST, png(paper(9)))], FIRST, "twice")
    refuse({}, "holds no drawing")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (png(paper(0)[:100]), "105x100 pixels of mode 1"),
        (png(paper(0), "L"), "105x105 pixels of mode L"),
        (png(paper(0))[:200], "no readable PNG"),
        (b"no image", "no readable PNG"),
    ],
)
def test_an_image_that_is_no_drawing_is_refused(content: bytes, fault: str) -> None:
    refuse(drawn(TOPS[0]) | {FIRST: content}, FIRST, fault)


@pytest.mark.parametrize("lies", [False, True])
def test_a_large_member_is_refused_unread(lies: bool) -> None:
    """Also where archive and index say that it is small."""
    bomb, size = packed({FIRST: bytes(1 << 23)}), (1 << 23).to_bytes(4, "little")
    assert bomb.count(size) == 2
    bomb = bomb.replace(size, (400).to_bytes(4, "little")) if lies else bomb
    with at_most(1 << 21), pytest.raises(DamageError, match=r"more than 4096|damaged"):
        originals.read(bomb, TOPS[0])


def test_a_member_packed_by_an_unusual_method_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(FIRST, png(paper(0)))
    with pytest.raises(DamageError, match="unusual method"):
        originals.read(out.getvalue(), TOPS[0])


def test_more_alphabets_than_are_numbered_are_refused() -> None:
    one = png(paper(0))
    names = (name_of(TOPS[0], f"A{a}", 1, d) for a in range(257) for d in range(1, 21))
    refuse(dict.fromkeys(names, one), "damaged archive", "256")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "MEMBERS", 79)
    refuse(drawn(TOPS[0]), "80 members")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (archives()[BACKGROUND][:-100], "truncated or damaged archive"),
        (packed(drawn(TOPS[0]) | {FIRST: png(paper(99))}), "expected"),
    ],
)
def test_another_archive_than_the_published_one_is_refused(content, fault, tmp_path):
    folder = fill(tmp_path, archives() | {BACKGROUND: content})
    with refused(
        DataError, str(folder / BACKGROUND), fault, "delete it", "repro data fetch omniglot"
    ):
        data.load_set(toy(), tmp_path)


# Hostile archives

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
    fill(place, archives() | {BACKGROUND: packed(drawn(TOPS[0]) | {name: png(paper(0))})})
    before = everything(tmp_path)
    with refused(DataError, BACKGROUND, "would leave its folder", "delete it"):
        data.load_set(toy(), place)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_mirror_s_archive_that_names_a_place_outside_is_written_nowhere(name, tmp_path):
    hostile = packed(drawn(TOPS[0]) | {name.format(tmp=tmp_path): png(paper(0))})
    place = tmp_path / "far" / "down" / "data"
    place.mkdir(parents=True)
    answer = fixture_data.files(archives() | {BACKGROUND: hostile})
    with fixture_data.serving(answer) as mirror, refused(DataError, BACKGROUND, "wrong content"):
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
