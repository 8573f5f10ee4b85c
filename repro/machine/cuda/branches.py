"""Branches: stacks that cannot be merged take turns, a block each. Knows nothing of devices.

A turn asks a device for a block's work and does not wait for it, so that where each branch has a
stream of its own the device works on several at once.
"""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

T = TypeVar("T")
Turn = Callable[[], contextlib.AbstractContextManager[object]]
MOST = 4  # branches side by side


def side_by_side(branches: Sequence[Generator[None, None, T]], turns: Sequence[Turn]) -> list[T]:
    """What each branch returns. They take turns from `yield` to `yield`, each inside its own turn.

    Whatever one of them raises stops all: the others are closed, which is where they save what
    they have, each inside its own turn, and then it is raised. A branch that is not to stop the
    others deals with its failure itself.
    """
    returned: dict[int, T] = {}
    with contextlib.ExitStack() as closing:
        for branch, turn in zip(branches, turns, strict=True):
            closing.callback(_close, branch, turn)
        while len(returned) < len(branches):
            for i, branch in enumerate(branches):
                if i in returned:
                    continue
                with turns[i]():
                    try:
                        next(branch)
                    except StopIteration as end:
                        returned[i] = end.value
    return [returned[i] for i in range(len(branches))]


def _close(branch: Generator[None, None, T], turn: Turn) -> None:
    with turn():
        branch.close()


def grouped(items: Sequence[T], together: Callable[[list[T]], bool]) -> list[list[T]]:
    """Neighbours for as long as they may go together; what goes with nothing goes alone."""
    groups: list[list[T]] = []
    for item in items:
        if groups and together([*groups[-1], item]):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups
