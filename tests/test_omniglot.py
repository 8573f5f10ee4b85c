"""OMNIGLOT: two versions behind one name, what is in them, and what is refused."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import fixture_omniglot as small
import numpy as np
import pytest
from fixture_data import Handler, absent, refused, reply, serving
from fixture_omniglot import (
    TOPS,
    archives,
    drawn,
    fill,
    mat,
    name_of,
    packed,
    paper,
    png,
    recognised,
    toy,
)

from repro import data
from repro.config import Data
from repro.data import originals, sources
from repro.data.images import Images
from repro.data.omniglot import git_blob
from repro.data.sources import DamageError
from repro.errors import DataError

BACKGROUND = f"{TOPS[0]}.zip"
FIRST = name_of(TOPS[0], "Armenian", 1, 1)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPRO_DATA", "REPRO_MIRRORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def refuse(members: small.Members | list[tuple[str, bytes]], *parts: str) -> None:
    with pytest.raises(DamageError) as caught:
        originals.read(packed(members), TOPS[0])
    assert [p for p in parts if p not in str(caught.value)] == [], caught.value


# --- the originals


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


# --- chardata.mat


def test_images_of_the_mat_file_are_turned_to_row_major(tmp_path: Path) -> None:
    share = np.zeros((784, 2))
    share[1 + 28 * 3, 1] = 1  # column-major: row 1, column 3
    content = mat(data=share, target=np.eye(50)[:, [4, 7]])
    fill(tmp_path, {"chardata.mat": content})
    images = data.load_set(toy(content), tmp_path)
    assert np.argwhere(images.train.reshape(-1, 28, 28)).tolist() == [[1, 1, 3]]
    assert images.train_labels.tolist() == [4, 7]


def test_shares_of_ink_become_bytes_over_255(tmp_path: Path) -> None:
    content = mat(testdata=np.linspace(0, 1, 784)[:, None], testtarget=np.eye(50)[:, :1])
    fill(tmp_path, {"chardata.mat": content})
    test = data.load_set(toy(content), tmp_path).test.reshape(28, 28).T.reshape(-1)
    assert (test[0], test[-1]) == (0, 255)
    assert np.abs(test / 255 - np.linspace(0, 1, 784)).max() <= 1 / 510 + 1e-12


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"data": None}, "data is missing"),
        ({"testdata": np.zeros((700, 3))}, "testdata is of shape (700, 3)"),
        ({"target": np.zeros((50, 4))}, "5 images, but 4 alphabets"),
        ({"data": np.full((784, 5), 255.0)}, "not in [0, 1]"),
        ({"data": np.full((784, 5), np.nan)}, "not in [0, 1]"),
    ],
)
def test_a_mat_file_of_another_form_is_refused(
    changes: dict[str, np.ndarray | None], fault: str, tmp_path: Path
) -> None:
    content = mat(**changes)
    folder = fill(tmp_path, {"chardata.mat": content})
    with refused(DataError, str(folder / "chardata.mat"), fault, "delete it"):
        data.load_set(toy(content), tmp_path)


def test_what_is_no_mat_file_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"chardata.mat": b"no matrix"})
    with refused(DataError, "chardata.mat", "no readable .mat file"):
        data.load_set(toy(b"no matrix"), tmp_path)


def test_the_digest_is_what_git_calls_the_content(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    git = subprocess.run(
        ["git", "hash-object", tmp_path / "x"], capture_output=True, text=True, check=True
    )
    assert git_blob(b"content") == git.stdout.strip()


def test_another_mat_file_than_the_published_one_is_refused(tmp_path: Path) -> None:
    content = mat(data=np.zeros((784, 5)))
    fill(tmp_path, {"chardata.mat": content})
    with refused(DataError, git_blob(content), git_blob(mat()), "delete it"):
        data.load_set(toy(), tmp_path)


# --- two versions


def answer(files: dict[str, bytes]):
    def send(handler: Handler) -> None:
        content = files.get(Path(handler.path).name)
        absent(handler) if content is None else reply(handler, content)

    return send


def test_the_mat_file_is_used_where_both_are_there(tmp_path: Path) -> None:
    fill(tmp_path, {**archives(), "chardata.mat": mat()})
    assert data.load_set(toy(), tmp_path).version == "published"


def test_archives_that_are_there_are_used_without_asking_a_mirror(tmp_path: Path) -> None:
    fill(tmp_path, archives())
    with serving(answer({"chardata.mat": mat()})) as mirror:
        images = data.load_set(toy(mirrors=(mirror.url,)), tmp_path)
    assert (images.version, images.source, mirror.seen) == ("rebuilt", "local folder", [])


def test_an_empty_folder_gets_the_mat_file(tmp_path: Path) -> None:
    with serving(answer({**archives(), "chardata.mat": mat()})) as mirror:
        images = data.load_set(toy(mirrors=(mirror.url,)), tmp_path)
    assert images.version == "published"
    assert (tmp_path / "omniglot" / "chardata.mat").read_bytes() == mat()


def test_archives_are_fetched_where_no_mirror_has_the_mat_file(tmp_path: Path) -> None:
    with serving(answer(archives())) as mirror:
        images = data.load_set(toy(mirrors=(mirror.url,)), tmp_path)
    assert (images.version, images.source) == ("rebuilt", "127.0.0.1")


def test_where_no_mirror_has_either_both_are_named(tmp_path: Path) -> None:
    with serving(absent) as mirror, refused(DataError, "chardata.mat", BACKGROUND, "HTTP 404"):
        data.load_set(toy(mirrors=(mirror.url,)), tmp_path)


def test_a_damaged_mat_file_is_not_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, {**archives(), "chardata.mat": b"damaged"})
    with refused(DataError, "chardata.mat", "delete it"):
        data.load_set(toy(), tmp_path)


def test_both_versions_have_their_own_hash() -> None:
    hashes = [
        sources.content_hash(v, [file.digest or "" for file in v.files]) for v in toy().versions
    ]
    assert hashes[0] != hashes[1]


def test_fetching_by_name_looks_for_the_better_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, archives())
    with serving(answer({"chardata.mat": mat()})) as mirror:
        monkeypatch.setitem(data.DATA_SETS, "omniglot", toy(mirrors=(mirror.url,)))
        found = data.fetch(["omniglot"], tmp_path)
    assert [s.state for s in found] == ["ok"] * 3


def test_fetching_by_name_is_content_with_archives_where_nothing_better_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, archives())
    with serving(absent) as mirror:
        monkeypatch.setitem(data.DATA_SETS, "omniglot", toy(mirrors=(mirror.url,)))
        found = data.fetch(["omniglot"], tmp_path)
    assert [s.state for s in found] == ["not needed", "ok", "ok"]


def test_what_one_version_lacks_is_not_needed_where_the_other_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(data.DATA_SETS, "omniglot", toy())
    fill(tmp_path, {"chardata.mat": mat()})
    states = {s.file: s.state for s in data.verify(tmp_path, ["omniglot"])}
    assert states == {"chardata.mat": "ok", **dict.fromkeys(archives(), "not needed")}


def test_half_of_the_archives_is_missing_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(data.DATA_SETS, "omniglot", toy())
    fill(tmp_path, {BACKGROUND: archives()[BACKGROUND]})
    with refused(DataError, "missing", "repro data fetch omniglot"):
        data.verify(tmp_path, ["omniglot"])


def test_the_published_mat_file_is_known_by_its_git_blob() -> None:
    (file,) = data.DATA_SETS["omniglot"].files
    assert file.digest == "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"


def test_a_run_of_omniglot_reads_grey_values_over_255() -> None:
    from repro.experiments import Cell
    from repro.profiles import PROFILES, run_of

    run = run_of(Cell("omniglot", "vae_bn", 3), PROFILES["paper"], seed=2)
    assert (run.id, run.data) == ("omniglot-vae_bn-L3-s2", Data("omniglot", 255))
