"""Statements of the paper that hold its numbers against those of other papers, as it printed them.

Their split, binarisation and grey scale are not stated: the same caution holds for ours.
"""

from repro.judge.claims import claim
from repro.judge.claims.claim import LVAE, Claim, Judgement, at_least, beside_printed, bounds
from repro.judge.evidence import Books
from repro.judge.targets.bounds import QUOTED_ROWS
from repro.judge.targets.target import MNIST_NATS, PAPER
from repro.plan.experiments import flows, iwae, label_of

BEATEN = ("vae_nf", "iwae_k1", "iwae_k50")
VGP = "vae_vgp"
WHERE = f"{PAPER}, section 3.1, Table 1"


def _row(name: str) -> tuple[str, float]:
    label, value, *_ = QUOTED_ROWS[name]
    return label, value


def _above_others(found: Books) -> Judgement:
    contrasts = [
        at_least(
            f"LVAE above {label} as printed, {value:.2f}", beside_printed(found, LVAE, value), 0
        )
        for label, value in map(_row, BEATEN)
    ]
    return contrasts, f"L_K {bounds(found, [LVAE], 'LK_test')[0]:.2f}{_own_models(found)}"


def _own_models(found: Books) -> str:
    """Our own Runs of those models, in words alone: the statement is about printed numbers."""
    words = ""
    for cells, why in (
        ([iwae.cell(v) for v in iwae.VARIANTS], ", on byte/255 and so not compared"),
        ([flows.cell(v) for v in flows.VARIANTS], ""),
    ):
        if ran := claim.that_ran(found, cells):
            names, values = ", ".join(map(label_of, ran)), bounds(found, ran, "LK_test")
            words += f"; our own {names}: {claim.in_row(values)}{why}"
    return words


def _about_vgp(found: Books) -> Judgement:
    label, value = _row(VGP)
    d = beside_printed(found, LVAE, value)
    contrasts = claim.between(f"LVAE less {label} as printed", d, -MNIST_NATS, MNIST_NATS)
    return contrasts, f"L_K {bounds(found, [LVAE], 'LK_test')[0]:.2f}, printed {value:.2f}"


CLAIMS = (
    Claim(
        "mnist/lvae_above_flows_and_iwae",
        "The LVAE is better than a VAE with normalizing flows and than IWAEs",
        WHERE,
        "five layers: L_K is no less than each printed number, "
        + ", ".join(f"{_row(name)[1]:.2f}" for name in BEATEN),
        (LVAE,),
        _above_others,
        metrics=("LK_test", "LK_mc_error"),
    ),
    Claim(
        "mnist/lvae_about_vgp",
        "The LVAE is comparable to a VAE with a variational Gaussian process",
        WHERE,
        f"five layers: L_K is within {MNIST_NATS} nats of the printed {_row(VGP)[1]:.2f}",
        (LVAE,),
        _about_vgp,
        metrics=("LK_test", "LK_mc_error"),
    ),
)
