"""Source: Table 1, row "VAE 1-layer + NF", quoted from Rezende & Mohamed 2015 (arXiv:1505.05770)
Command: `repro train flows --profile paper --seeds 3`
Run time here: predicted 9.4 h a seed with the flows, 2.6 h without, on one core of an AMD EPYC
Expected result: -85.10 nats with 80 flows, and more than the same VAE without flows

A VAE of one layer, 40 latents, whose q(z_1|x) is a Gaussian made flexible by planar flows, trained
for 500,000 updates of 100 images (their set-up as recalled). Documented choices, not theirs: leaky
ReLU for maxout, Adam for RMSprop, beta on the KL for beta on log p(x, z), and 500,000 updates are
whole epochs. Theirs is not known: byte/256 (with byte/255 bounds look about a nat better),
gradients clipped and a variance floor as in the LVAE's code.
"""

from dataclasses import replace

from repro.plan.experiments.grid import Cell
from repro.plan.run import Data, Evaluation, Model, Optim, Run, Schedule

LATENTS, WIDTHS = (40,), (400,)
BATCH = 100
EPOCHS = 833  # 499,800 updates
WARMUP = 17  # epochs: 10,000 updates
VARIANTS = {"vae_nf80": 80, "vae_nf0": 0}  # planar flows
LABELS = {"vae_nf80": "VAE with 80 flows", "vae_nf0": "VAE of 40 latents without flows"}


def cell(variant: str) -> Cell:
    return Cell("mnist", variant, len(LATENTS))


EXPERIMENTS: dict[str, list[Cell]] = {"flows": [cell(variant) for variant in VARIANTS]}


def run_of(cell: Cell, schedule: Schedule, evaluation: Evaluation, seed: int) -> Run:
    """The Run of a cell; its warm-up keeps its share of the epochs, but is never without one."""
    warm = max(1, round(WARMUP * schedule.epochs / EPOCHS))
    return Run(
        variant=cell.variant,
        data=Data(cell.data),
        model=Model(family="vae", latents=LATENTS, widths=WIDTHS, flows=VARIANTS[cell.variant]),
        optim=Optim(batch=BATCH),
        schedule=replace(schedule, warmup_epochs=warm),
        evaluation=evaluation,
        seed=seed,
    )
