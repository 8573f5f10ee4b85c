"""The originals of OMNIGLOT: read from their archives, refused where damaged, scaled down."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile
from pathlib import Path

import fixture_omniglot as small
import numpy as np
import pytest
from fixture_data import refused
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


@pytest.fixture(scope="module")
def real(data_dir: Path) -> Images:
    """The whole set, rebuilt from the originals; verified on the way."""
    return data.load_set(data.DATA_SETS["omniglot"].versions[-1], data_dir)


def test_rebuilt_omniglot_has_15_training_and_5_test_drawings_of_each_character(
    real: Images,
) -> None:
    assert (real.train.shape, real.test.shape) == ((24_345, 784), (8_115, 784))
    assert real.version == "rebuilt"
    assert len(np.unique(real.train_labels)) == len(np.unique(real.test_labels)) == 50


def test_rebuilt_images_are_the_same_on_every_machine(real: Images) -> None:
    found = hashlib.sha256(real.train.tobytes() + real.test.tobytes()).hexdigest()
    assert found == "39c999d442594ed628a0971acbfb087685d0e83add8c487b73af18e887ff5586"


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


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/x.png", f"{TOPS[0]}/../x.png", "a\\..\\x", "C:x"]
)
def test_a_name_that_would_leave_the_folder_is_refused(name: str) -> None:
    refuse(drawn(TOPS[0]) | {name: b""}, "would leave its folder")


@pytest.mark.parametrize(
    "name",
    ["images_evaluation/Greek/character01/0001_01.png", f"{TOPS[0]}/Greek/0001_01.png", "x.txt"],
)
def test_a_member_that_is_no_drawing_is_refused(name: str) -> None:
    refuse(drawn(TOPS[0]) | {name: b""}, name, "is no drawing")


def test_nothing_is_extracted(tmp_path: Path) -> None:
    folder = fill(tmp_path, archives())
    data.load_set(toy(), tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == sorted(archives())


def test_a_missing_drawing_is_refused_with_its_character() -> None:
    members = {n: content for n, content in drawn(TOPS[0]).items() if n != FIRST}
    refuse(members, "Armenian, character 1", "drawers [2, 3,", "expected 1 to 20")


def test_a_drawer_beyond_20_is_refused() -> None:
    refuse(drawn(TOPS[0]) | {name_of(TOPS[0], "Greek", 1, 21): png(paper(0))}, "20, 21]")


def test_a_drawing_that_is_there_twice_is_refused() -> None:
    refuse([*drawn(TOPS[0]).items(), (FIRST, png(paper(9)))], FIRST, "twice")


def test_an_archive_without_drawings_is_refused() -> None:
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


def test_a_large_member_is_refused_unread() -> None:
    bomb = packed(drawn(TOPS[0]) | {FIRST: bytes(1 << 26)})
    tracemalloc.start()
    with pytest.raises(DamageError, match="more than 4096"):
        originals.read(bomb, TOPS[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 21


def test_a_member_that_lies_about_its_size_is_cut_off() -> None:
    bomb = bytearray(packed({FIRST: bytes(1 << 26)}))
    size = (1 << 26).to_bytes(4, "little")
    assert bomb.count(size) == 2  # of the member, and of the index
    bomb = bomb.replace(size, (400).to_bytes(4, "little"))
    tracemalloc.start()
    with pytest.raises(DamageError):
        originals.read(bytes(bomb), TOPS[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 21


def test_a_member_packed_by_an_unusual_method_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(FIRST, png(paper(0)))
    with pytest.raises(DamageError, match="unusual method"):
        originals.read(out.getvalue(), TOPS[0])


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "MEMBERS", 79)
    refuse(drawn(TOPS[0]), "80 members")


def test_a_truncated_archive_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = fill(tmp_path, archives() | {BACKGROUND: archives()[BACKGROUND][:-100]})
    with refused(DataError, str(folder / BACKGROUND), "archive", "repro data fetch omniglot"):
        data.load_set(toy(), tmp_path)


def test_other_drawings_than_the_published_ones_are_refused(tmp_path: Path) -> None:
    folder = fill(
        tmp_path, archives() | {BACKGROUND: packed(drawn(TOPS[0]) | {FIRST: png(paper(99))})}
    )
    with refused(DataError, str(folder / BACKGROUND), "expected", "delete it"):
        data.load_set(toy(), tmp_path)
