"""A small data set in MNIST's format, local servers that offer it."""

import contextlib
import gzip
import hashlib
import http.server
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from repro.data import idx
from repro.data.sources import DataSet
from repro.errors import ReproError

Handler = http.server.BaseHTTPRequestHandler
TRAIN, TEST = 3, 2  # images of the toy data set
IMAGES, LABELS = idx.NAMES[0], idx.NAMES[1]


def toy_contents() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    shapes = [(TRAIN, 28, 28), (TRAIN,), (TEST, 28, 28), (TEST,)]
    high = (256, 10, 256, 10)
    return {
        name: idx.header(shape) + rng.integers(h, size=shape, dtype=np.uint8).tobytes()
        for name, shape, h in zip(idx.NAMES, shapes, high, strict=True)
    }


def toy(contents: dict[str, bytes] | None = None, mirrors: tuple[str, ...] = ()) -> DataSet:
    """A small data set whose published files are `contents`, whatever they are."""
    contents = contents or toy_contents()
    hashes = tuple(hashlib.sha256(c).hexdigest() for c in contents.values())
    published = idx.data_set("toy", TRAIN, TEST, hashes, mirrors)
    files = [replace(f, size=len(contents[f.name])) for f in published.files]
    return replace(published, files=tuple(files))


def fill(folder: Path, contents: dict[str, bytes] | None = None, suffix: str = ".gz") -> Path:
    """Write a toy data set into a data folder; returns the data set's own folder."""
    (folder / "toy").mkdir(parents=True, exist_ok=True)
    for name, content in (contents or toy_contents()).items():
        packed = gzip.compress(content) if suffix else content
        (folder / "toy" / f"{name}{suffix}").write_bytes(packed)
    return folder / "toy"


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """The block allocates no more bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def refused(error: type[ReproError], *parts: str) -> Iterator[None]:
    """The block raises `error` with a message of one line that has every part."""
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert [p for p in parts if p not in message] == [], message


@dataclass
class Mirror:
    """A local HTTP server whose answers are `answer(handler)`."""

    answer: Callable[[Handler], None]
    seen: list[str] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(answer: Callable[[Handler], None]) -> Iterator[Mirror]:
    mirror = Mirror(answer)

    class Answering(Handler):
        def do_GET(self) -> None:  # noqa: N802
            mirror.seen.append(self.path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                mirror.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        mirror.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()


def reply(handler: Handler, body: bytes, **headers: object) -> None:
    handler.send_response(200)
    for name, value in ({"Content-Length": len(body)} | headers).items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: Handler) -> None:
    reply(handler, gzip.compress(toy_contents()[Path(handler.path).stem]))


def files(contents: dict[str, bytes]) -> Callable[[Handler], None]:
    """Answers with these files and no others."""

    def answer(handler: Handler) -> None:
        found = contents.get(Path(handler.path).name)
        absent(handler) if found is None else reply(handler, found)

    return answer


def absent(handler: Handler) -> None:
    handler.send_error(404)


def wrong(handler: Handler) -> None:
    content = toy_contents()[Path(handler.path).stem]
    reply(handler, gzip.compress(content[:-1] + bytes([content[-1] ^ 1])))


def truncated(handler: Handler) -> None:
    body = gzip.compress(toy_contents()[Path(handler.path).stem])
    reply(handler, body[: len(body) // 2], Content_Length=len(body))


def as_encoding(handler: Handler) -> None:
    body = gzip.compress(toy_contents()[Path(handler.path).stem])
    reply(handler, body, Content_Encoding="gzip")


def dead_url() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"
