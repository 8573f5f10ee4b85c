"""What benchmarks are counted by: the numbers of an operation, and the products it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

RATES = {
    *("seconds", "spread", "images_per_s", "flop_per_s", "ratio_to_single", "ratio_to_matmul"),
}


class Recorder(TorchDispatchMode):
    """Counts matrix products by (lanes, rows, inner, columns)."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[tuple[int, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ("mm", "addmm", "matmul", "mv")
        if name in ("bmm", "baddbmm"):
            a, b = args[-2:] if name == "bmm" else args[1:3]
            self.products[(*a.shape, b.shape[2])] += 1
        return func(*args, **(kwargs or {}))


def recorded(op: Callable[[], object]) -> Counter[tuple[int, ...]]:
    op()  # whatever is prepared once is prepared
    with Recorder() as recorder:
        op()
    return recorder.products
