"""Damage of every kind, drawn from a fixed sequence, so that a failure can be repeated."""

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Iterator

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from repro.errors import ReproError
from repro.machine.memory import HighWater

EXAMPLES = 150
COUNT: Counter[str] = Counter()  # damaged files, and how many of them were refused
SECONDS, MEGABYTES = 5.0, 256  # that reading one small damaged file may take

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)

fuzzed = functools.partial(
    settings,
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def damaged(draw: st.DrawFn, valid: bytes, head: int = 64) -> bytes:
    """`valid` cut off, with bytes replaced, inserted or left out, or no part of it at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 3))):
        # Headers are where damage tells most, so half of it is done there.
        reach = len(content) if draw(st.booleans()) else min(len(content), head)
        at = draw(st.integers(0, max(0, reach - 1)))
        way = draw(st.sampled_from(["cut", "replace", "insert", "drop"]))
        length = draw(st.integers(1, 8))
        if way == "cut":
            del content[at:]
        elif way == "drop":
            del content[at : at + length]
        else:
            new = draw(st.binary(min_size=length, max_size=length))
            content[at : at + length * (way == "replace")] = new
    return bytes(content)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Fails where the block takes long, or much memory, or raises what is not of this project.

    The peak begins anew: behind that of tests before it, what a block holds would not show.
    """
    peak, start = HighWater(torch.device("cpu")), time.monotonic()
    COUNT["read"] += 1
    try:
        yield
    except ReproError:
        COUNT["refused"] += 1
    assert time.monotonic() - start < SECONDS
    assert peak.read() < MEGABYTES << 20
