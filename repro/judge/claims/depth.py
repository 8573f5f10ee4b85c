"""Statements about bounds on MNIST against the number of layers."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from repro.judge.claims import claim
from repro.judge.evidence import Books
from repro.judge.targets.bounds import VAES
from repro.judge.targets.target import PAPER
from repro.plan.experiments.grid import Cell, column

VAE_BY_DEPTH, VAE_BN_WU_BY_DEPTH, LVAE_BY_DEPTH = (
    tuple(column("mnist", v)) for v in ("vae", "vae_bn_wu", "lvae_bn_wu")
)
BEST_VAE = VAE_BN_WU_BY_DEPTH[2]  # -87.49 in the paper


def by_depth(found: Books, cells: Sequence[Cell]) -> str:
    """L_1 of one variant in words."""
    return f"{depths(cells)}: {claim.in_row(claim.bounds(found, cells))}"


def depths(cells: Sequence[Cell]) -> str:
    return f"L_1 at depths {cells[0].depth} to {cells[-1].depth}"


def _no_more(found: Books, cells: Sequence[Cell], than: Cell) -> list[claim.Contrast]:
    """That no cell gains over one."""
    return [claim.no_more(found, c, than, "L1_test", claim.NO_GAIN_NATS) for c in cells]


def _no_gain_beyond_one(found: Books) -> claim.Judgement:
    return _no_more(found, VAE_BY_DEPTH[1:], VAE_BY_DEPTH[0]), by_depth(found, VAE_BY_DEPTH)


def _gains_up_to_three(found: Books) -> claim.Judgement:
    cells = VAE_BN_WU_BY_DEPTH
    contrasts = [*claim.rises(found, cells[:3]), *_no_more(found, cells[3:], cells[2])]
    return contrasts, by_depth(found, cells)


def _gains_every_layer(found: Books) -> claim.Judgement:
    of_images, how = claim.per_image_l1(found, LVAE_BY_DEPTH)
    means = [claim.combined(found, {c: 1}, of_images).mean for c in LVAE_BY_DEPTH]
    contrasts = [
        claim.at_least(
            f"{claim.named(b)} above {claim.named(a)}",
            claim.combined(found, {b: 1, a: -1}, of_images),
            claim.IMPROVES_NATS,
        )
        for a, b in pairwise(LVAE_BY_DEPTH)
    ]
    return contrasts, f"{depths(LVAE_BY_DEPTH)}: {claim.in_row(means)} ({how})"


def _gains_shrink(found: Books) -> claim.Judgement:
    cells = LVAE_BY_DEPTH
    of_images, how = claim.per_image_l1(found, cells)
    gains = [claim.combined(found, {b: 1, a: -1}, of_images).mean for a, b in pairwise(cells)]
    contrasts = [
        claim.at_least(
            f"gain of layer {b.depth} less that of layer {c.depth}",
            claim.combined(found, {b: 2, a: -1, c: -1}, of_images),
            0.0,
        )
        for a, b, c in zip(cells, cells[1:], cells[2:], strict=False)
    ]
    return contrasts, f"gains of layers 3 to 5: {claim.in_row(gains)} ({how})"


TEXT = f"{PAPER}, section 3.1, Fig. 3b"
CLAIMS = (
    claim.Claim(
        "mnist/vae_no_gain_beyond_one_layer",
        "A VAE without batch norm and warm-up does not improve beyond one stochastic layer",
        TEXT,
        f"L_1 (test) at depths 2-5 is at most {claim.NO_GAIN_NATS} nats above depth 1",
        VAE_BY_DEPTH,
        _no_gain_beyond_one,
        metrics=("L1_test",),
    ),
    claim.Claim(
        "mnist/vae_bn_wu_gains_up_to_three_layers",
        "With batch norm and warm-up a VAE improves up to three layers",
        TEXT,
        f"L_1 (test) rises by at least {claim.IMPROVES_NATS} nats to depths 2 and 3, and by at most"
        f" {claim.NO_GAIN_NATS} beyond",
        VAE_BN_WU_BY_DEPTH,
        _gains_up_to_three,
        metrics=("L1_test",),
    ),
    claim.Claim(
        "mnist/lvae_gains_with_every_layer",
        "The LVAE improves with every additional layer",
        TEXT,
        f"L_1 (test) rises by at least {claim.IMPROVES_NATS} nats with each layer, depths 2-5",
        LVAE_BY_DEPTH,
        _gains_every_layer,
        ("per_image.npz",),
        ("L1_test",),
    ),
    claim.Claim(
        "mnist/lvae_gains_shrink_with_depth",
        "The LVAE's improvement becomes smaller with each additional layer",
        TEXT,
        "the rise of L_1 (test) from depth 2 to 3 is no less than from 3 to 4, and that no less"
        " than from 4 to 5",
        LVAE_BY_DEPTH,
        _gains_shrink,
        ("per_image.npz",),
        ("L1_test",),
    ),
    claim.Claim(
        "mnist/best_vae_has_three_layers",
        "The best VAE has batch norm, warm-up and three layers",
        TEXT,
        "L_1 (test) of VAE+BN+WU of depth 3 is no less than that of any other VAE that ran",
        VAES,
        partial(claim.above_each, cell=BEST_VAE, others=VAES, name="L1_test"),
        metrics=("L1_test",),
        required=VAE_BN_WU_BY_DEPTH,
    ),
)
