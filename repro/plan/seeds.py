"""Seeds as people write them, `3` for 1 to 3, `3-5` for a range, `1,7` for these; and of ids."""

import re
from collections.abc import Sequence

from repro.errors import UsageError

MOST = 100  # seeds of one command; who names a larger number means one seed
LARGEST = 10**18 - 1  # seed
SEED = "[1-9][0-9]{0,17}"
OF_ID = re.compile(rf"(.+)-s({SEED})")
PART = re.compile(rf"({SEED})(?:-({SEED}))?")

Seeds = int | Sequence[int] | None
"""How many, from 1 up; or which; or a profile's own number."""


def of_id(run_id: str) -> tuple[str, int] | None:
    """What comes before the seed of a Run id, and the seed; None where it has none."""
    match = OF_ID.fullmatch(run_id)
    return (match[1], int(match[2])) if match else None


def listed(seeds: int | Sequence[int]) -> Sequence[int]:
    """The seeds, ascending. Raises UsageError for too many, none, or one that no id can have."""
    if isinstance(seeds, int):
        if seeds < 1:
            raise UsageError(f"--seeds {seeds}: give at least 1")
        if seeds > MOST:
            raise UsageError(
                f"--seeds {seeds}: asks for seeds 1 to {seeds}, at most {MOST} are trained at once:"
                f" for that seed alone give --seed {seeds}, for a range --seeds A-B"
            )
        return range(1, seeds + 1)
    found = sorted(set(seeds))
    if not found or found[0] < 1 or found[-1] > LARGEST or len(found) > MOST:
        raise UsageError(f"{len(found)} seeds: give at least 1 and at most {MOST}, from 1 upward")
    return found


def parsed(text: str) -> int | Sequence[int]:
    """What `--seeds` names; a number is left to `listed`. Raises UsageError."""
    if re.fullmatch("-?[0-9]{1,18}", text):
        return int(text)
    return listed([seed for part in text.split(",") for seed in _range(part.strip(), text)])


def _range(part: str, text: str) -> range:
    match = PART.fullmatch(part)
    if match is None:
        raise UsageError(f"--seeds {text}: write it like 3 (1 to 3), 3-5 or 1,7")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < first + MOST:
        raise UsageError(f"--seeds {text}: give a range upward, of at most {MOST} seeds")
    return range(first, last + 1)
