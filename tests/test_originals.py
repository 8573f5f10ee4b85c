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

import fixture_data
import numpy as np
import pytest
from fixture_data import at_most, refused
from fixture_omniglot import TOPS, archives, drawn, fill, name_of, packed, paper, png, toy

from repro import data
from repro.data import originals
from repro.data.sources import DamageError
from repro.errors import DataError

TOP, OTHER = TOPS
BACKGROUND = f"{TOP}.zip"
MEMBERS = drawn(TOP)
FIRST = name_of(TOP, "Armenian", 1, 1)
ONE = png(paper(0))
pytestmark = pytest.mark.usefixtures("no_settings")


def test_a_small_pixel_is_the_share_of_ink_under_it():
    pixels = paper(1)
    grey = originals.scaled(np.packbits(pixels, axis=1)[None]).reshape(28, 28)
    fine = np.kron(1 - pixels, np.ones((4, 4)))  # 420 x 420: 15 x 15 under each small pixel
    share = fine.reshape(28, 15, 28, 15).mean((1, 3))
    np.testing.assert_array_equal(grey, np.rint(255 * share))


def test_drawers_1_to_15_train_alphabets_are_labels_and_the_first_are_a_fair_sample(tmp_path):
    fill(tmp_path, archives())
    images, known = data.load_set(toy(), tmp_path), {}
    for top in TOPS:
        drawings = originals.read(packed(drawn(top).items()), top)
        for image, name in zip(originals.scaled(drawings.pixels), drawings.names(), strict=True):
            known[image.tobytes()] = name
    alphabets = ("Armenian", "Bengali", "Greek")
    for part, labels, drawers in (
        (images.train, images.train_labels, range(1, 16)),
        (images.test, images.test_labels, range(16, 21)),
    ):
        names = [known[image.tobytes()] for image in part]
        found = [name.split("/") for name in names]
        assert sorted(int(drawer) for *_, drawer in found) == sorted([*drawers] * 6)
        assert [alphabet for alphabet, *_ in found] == [alphabets[label] for label in labels]
    assert names == sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert len(set(images.test_labels[:10])) == 3


def test_the_same_drawings_packed_otherwise_are_the_same_data(tmp_path):
    turned = dict(reversed(MEMBERS.items()))
    folders = {f"{TOP}/": b"", f"{TOP}/Greek/": b"", "__MACOSX/._x": b"x"}
    fill(tmp_path, archives() | {BACKGROUND: packed((folders | turned).items())})
    assert data.load_set(toy(), tmp_path).version == "rebuilt"
    assert sorted(p.name for p in (tmp_path / "omniglot").iterdir()) == sorted(archives())


OF_OTHER, NO_CHARACTER = f"{OTHER}/Greek/character01/0001_01.png", f"{TOP}/Greek/0001_01.png"
WRONG = {
    "of another folder": ({OF_OTHER: b""}, [OF_OTHER, "is no drawing"]),
    "of no character": ({NO_CHARACTER: b""}, [NO_CHARACTER, "is no drawing"]),
    "another file": ({"x.txt": b""}, ["x.txt", "is no drawing"]),
    "a drawer too many": ({name_of(TOP, "Greek", 1, 21): ONE}, ["20, 21]"]),
    "too small": ({FIRST: png(paper(0)[:100])}, [FIRST, "105x100 pixels of mode 1"]),
    "grey": ({FIRST: png(paper(0), "L")}, [FIRST, "105x105 pixels of mode L"]),
    "cut": ({FIRST: ONE[:200]}, [FIRST, "no readable PNG"]),
    "huge": ({FIRST: ONE[:16] + b"\xff" * 8 + ONE[24:]}, [FIRST, "no readable PNG"]),
    "no image": ({FIRST: b"no image"}, [FIRST, "no readable PNG"]),
}


def refuse(content: bytes, *said: str) -> None:
    with pytest.raises(DamageError) as caught:
        originals.read(content, TOP)
    assert [part for part in said if part not in str(caught.value)] == [], caught.value


@pytest.mark.parametrize(("member", "said"), WRONG.values(), ids=WRONG)
def test_a_member_that_is_no_drawing_of_the_archive_is_refused(member, said):
    refuse(packed((MEMBERS | member).items()), *said)


def test_drawings_that_are_missing_there_twice_or_packed_unusually_are_refused():
    without = [(name, content) for name, content in MEMBERS.items() if name != FIRST]
    refuse(packed(without), "Armenian, character 1", "drawers [2, 3,", "expected 1 to 20")
    refuse(packed([*MEMBERS.items(), (FIRST, png(paper(9)))]), FIRST, "twice")
    refuse(packed([]), "holds no drawing")
    refuse(packed([(FIRST, ONE)], zipfile.ZIP_LZMA), "unusual method")


@pytest.mark.parametrize("lies", [False, True])
def test_a_large_member_is_refused_unread(lies):
    """Also where archive and index say that it is small."""
    bomb, size = packed([(FIRST, bytes(1 << 23))]), (1 << 23).to_bytes(4, "little")
    assert bomb.count(size) == 2
    bomb = bomb.replace(size, (400).to_bytes(4, "little")) if lies else bomb
    with at_most(1 << 21), pytest.raises(DamageError, match=r"more than 4096|damaged"):
        originals.read(bomb, TOP)


def test_more_alphabets_and_members_than_there_can_be_are_refused(monkeypatch):
    names = (name_of(TOP, f"A{a}", 1, d) for a in range(257) for d in range(1, 21))
    refuse(packed((name, ONE) for name in names), "damaged archive", "256")
    monkeypatch.setattr(originals, "MEMBERS", 79)
    refuse(packed(MEMBERS.items()), "80 members")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (archives()[BACKGROUND][:-100], "truncated or damaged archive"),
        (packed((MEMBERS | {FIRST: png(paper(99))}).items()), "expected"),
    ],
)
def test_another_archive_than_the_published_one_is_refused(content, fault, tmp_path):
    path = fill(tmp_path, archives() | {BACKGROUND: content}) / BACKGROUND
    with refused(DataError, str(path), fault, "delete it", "repro data fetch omniglot"):
        data.load_set(toy(), tmp_path)


# Hostile archives

OUTSIDE = [
    "../../evil.png",
    f"{TOP}/../../../evil.png",
    "{tmp}/evil.png",
    f"{TOP}/Armenian/character01/../../../../evil.png",
    "..\\..\\evil.png",
    "C:evil.png",
]
SECONDS, MEGABYTES = 5.0, 64
CLAIMED = 4000  # members that are all the same bytes


def everything(folder) -> set[str]:
    found = (str(p.relative_to(folder)) for p in folder.rglob("*"))
    return {path for path in found if not path.endswith(".lock")}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_member_that_names_a_place_outside_is_written_nowhere(name, tmp_path):
    """Neither of a mirror's archive nor of one in the folder."""
    members = MEMBERS | {name.format(tmp=tmp_path): ONE}
    hostile = archives() | {BACKGROUND: packed(members.items())}
    place = tmp_path / "far" / "down" / "data"
    (place / "omniglot").mkdir(parents=True)
    before = everything(tmp_path)
    answer = fixture_data.files(hostile)
    with fixture_data.serving(answer) as mirror, refused(DataError, BACKGROUND, "wrong content"):
        data.load_set(toy(mirrors=(mirror.url,)), place)
    assert everything(tmp_path) == before
    fill(place, hostile)
    before = everything(tmp_path)
    with refused(DataError, BACKGROUND, "would leave its folder", "delete it"):
        data.load_set(toy(), place)
    assert everything(tmp_path) == before


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(ONE)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in MEMBERS.items():
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            link_to = str(tmp_path / "secret.png").encode()
            archive.writestr(link, link_to if name == FIRST else content)
    refuse(out.getvalue(), "no readable PNG")


def test_an_archive_whose_members_are_one_and_the_same_is_refused_in_little_time():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FIRST, bytes(originals.MEMBER_BYTES))
        for n in range(CLAIMED):
            member = copy(archive.filelist[0])
            member.filename = name_of(TOP, f"A{n // 20}", 1, n % 20 + 1)
            archive.filelist.append(member)
    start = time.process_time()
    with at_most(MEGABYTES << 20), pytest.raises(DamageError):
        originals.read(out.getvalue(), TOP)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil"])
def test_the_name_inside_a_gzip_file_means_nothing(name, tmp_path):
    place = tmp_path / "far" / "down" / "data"
    folder, out = fixture_data.fill(place), io.BytesIO()
    content = fixture_data.toy_contents()[fixture_data.IMAGES]
    with gzip.GzipFile(name, "wb", fileobj=out) as packer:
        packer.write(content)
    (folder / f"{fixture_data.IMAGES}.gz").write_bytes(out.getvalue())
    before = everything(tmp_path)
    assert data.load_set(fixture_data.toy(), place).train.tobytes() in content
    assert everything(tmp_path) == before
