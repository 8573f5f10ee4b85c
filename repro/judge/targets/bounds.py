"""The paper's own numbers, and those that it quotes: Tables 1 and 2, and the text."""

from dataclasses import replace

from repro.judge.targets import target
from repro.plan.experiments import finetuning, flows, iwae
from repro.plan.experiments.grid import MAX_DEPTH, Cell, grid

IWAE_OMNIGLOT = -103.38  # IWAE 100-50, k = 50, as the paper quotes it
REZENDE = "Rezende & Mohamed 2015"
LVAE5 = Cell("mnist", "lvae_bn_wu", MAX_DEPTH)
TUNED, TUNED_IW10 = (finetuning.cell(f"lvae_bn_wu_{name}") for name in ("ft", "ft_iw10"))
VAES = tuple(c for c in grid("mnist") if c.variant != "lvae_bn_wu")


def _mnist(
    name: str,
    where: str,
    paper: float,
    cells: tuple[Cell, ...],
    note: str = "",
    metric: str = "LK_test",
    quoted_from: str | None = None,
) -> target.Target:
    """A bound on MNIST that the paper prints."""
    return target.Target(
        id=name,
        source=f"{target.PAPER}, {where}",
        metric=metric,
        paper=paper,
        margin=target.MNIST_NATS,
        quoted_from=quoted_from,
        cells=cells,
        note=note,
    )


# id: (row as printed, value, quoted from, what answers it)
QUOTED_ROWS: dict[str, tuple[str, float, str, tuple[Cell, ...]]] = {
    "vae_nf": ("VAE 1-layer + NF", -85.10, REZENDE, (flows.cell("vae_nf80"),)),
    "iwae_k1": ("IWAE, 2-layer + IW=1", -85.33, target.BURDA, (iwae.cell("iwae_k1"),)),
    "iwae_k50": ("IWAE, 2-layer + IW=50", -82.90, target.BURDA, (iwae.cell("iwae_k50"),)),
    "vae_vgp": ("VAE, 2-layer + VGP", -81.90, "Tran et al. 2015", ()),
}


def _table1() -> list[target.Target]:
    as_printed = "bound as printed; split and binarisation not stated"
    quoted = [
        _mnist(f"table1/{name}", f"Table 1, row '{row}'", value, cells, as_printed, metric, origin)
        for name, (row, value, origin, cells) in QUOTED_ROWS.items()
        for metric in ["LK_test" if cells else "bound_test"]
    ]
    row = "Table 1, row 'LVAE, 5-layer"
    ft, ft_iw10 = f"{row} + finetuning'", f"{row} + finetuning + IW=10'"
    over = "over the very Run that it starts from, on the same images"
    less = "less row 'LVAE, 5-layer'"
    gains = [
        _mnist("table1/gain/ft", f"{ft} {less}", 0.28, (TUNED,), over),
        _mnist("table1/gain/ft_iw10", f"{ft_iw10} {less}", 0.38, (TUNED_IW10,), over),
    ]
    longer = "2,000 more epochs, lr x 0.75 every 200"
    samples = f"{longer}; 1 or 10 Monte-Carlo samples: ambiguous in the paper"
    samples_iw10 = f"{longer}; 10 Monte-Carlo and 10 importance samples"
    return [
        *quoted,
        *(replace(t, margin=target.GAIN_NATS, gain_over=LVAE5) for t in gains),
        _mnist("table1/lvae5", f"{row}'", -82.12, (LVAE5,)),
        _mnist("table1/lvae5_finetuned", ft, -81.84, (TUNED,), samples),
        _mnist("table1/lvae5_finetuned_iw10", ft_iw10, -81.74, (TUNED_IW10,), samples_iw10),
    ]


def _text() -> list[target.Target]:
    fig3b, fig3c = "section 3.1 and Fig. 3b", "section 3.1 and Fig. 3c"
    vae3 = (Cell("mnist", "vae_bn_wu", 3),)
    best = "best VAE score"
    anywhere = f"{best}; variant and depth not stated: best over all"
    return [
        _mnist("text/L1_test/lvae5", fig3b, -85.23, (LVAE5,), metric="L1_test"),
        _mnist("text/L1_test/vae3", fig3b, -87.49, vae3, best, "L1_test"),
        _mnist("text/L5000_test/lvae5", fig3c, -82.12, (LVAE5,)),
        _mnist("text/L5000_test/vae_best", fig3c, -82.74, VAES, anywhere),
        target.Target(
            id="text/iwae_omniglot_k50",
            source=f"{target.PAPER}, section 3.1",
            metric="bound_test",
            paper=IWAE_OMNIGLOT,
            margin=target.OMNIGLOT_NATS,
            quoted_from=target.BURDA,
            note="IWAE 100-50, k = 50",
        ),
    ]


# Columns: VAE, VAE+BN, VAE+BN+WU, LVAE+BN+WU; rows: depths 1 to 5.
TABLE2_VARIANTS = ("vae", "vae_bn", "vae_bn_wu", "lvae_bn_wu")
TABLE2_ROWS = ("64", "64-32", "64-32-16", "64-32-16-8", "64-32-16-8-4")
TABLE2: dict[str, tuple[tuple[float | None, ...], ...]] = {
    "omniglot": (
        (-111.21, -105.62, -104.51, None),
        (-110.58, -105.51, -102.61, -102.63),
        (-111.26, -106.09, -102.52, -102.18),
        (-111.58, -105.66, -102.66, -102.21),
        (-110.46, -105.45, -102.48, -102.11),
    ),
    "norb": (
        (2741, 3198, 3338, None),
        (2792, 3224, 3483, 3272),
        (2786, 3235, 3492, 3519),
        (2689, 3201, 3482, 3449),
        (2654, 3198, 3422, 3455),
    ),
}
TABLE2_NOTES = {
    "omniglot": "on the 28x28 set of Burda et al.; a set rebuilt from the originals is other data",
    "norb": "metric not stated, taken as L_5000; density of the rescaled data",
}


def _table2() -> list[target.Target]:
    return [
        target.Target(
            id=f"table2/{data}/{TABLE2_ROWS[depth - 1]}/{variant}",
            source=f"{target.PAPER}, Table 2, {data.upper()}, row '{TABLE2_ROWS[depth - 1]}'",
            metric="LK_test",
            paper=float(value),
            margin=target.OMNIGLOT_NATS if data == "omniglot" else target.NORB_SHARE * abs(value),
            cells=(Cell(data, variant, depth),),
            note=TABLE2_NOTES[data],
        )
        for data, rows in TABLE2.items()
        for depth, row in enumerate(rows, start=1)
        for variant, value in zip(TABLE2_VARIANTS, row, strict=True)
        if value is not None
    ]


TARGETS = [*_table1(), *_text(), *_table2()]
