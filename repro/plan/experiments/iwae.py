"""Source: Table 1, rows "IWAE, 2-layer", quoted from Burda et al. 2015 (arXiv:1509.00519)
Command: `repro train iwae --profile paper --seeds 3`
Run time here: predicted 5 days a seed on one core of an AMD EPYC, nearly all of it IW=50
Expected result: L_5000 = -85.33 with IW=1, -82.90 with IW=50, on pixel/255

A VAE with tanh MLPs and sigma = exp(linear), trained with the bound of k importance samples, eq.
(6). The optimiser is the paper's as recalled, shuffling is ours. Their released code differs (beta1
0.99, gradients summed over the minibatch, second moments that start at 1, updates by the moments
before the step, epsilon beside the uncorrected one, the first 59,600 images unshuffled, equal draws
for equal shapes): documented here, not copied. Its Bernoulli mean is not clipped; here it is.
"""

from dataclasses import replace

from repro.plan.experiments.grid import Cell
from repro.plan.run import Data, Evaluation, Model, Optim, Run, Schedule, Stage, staged

LATENTS, WIDTHS = (100, 50), (200, 100)
BATCH = 20
LENGTHS = tuple(3**i for i in range(8))  # epochs of each stage
FACTORS = (1.0, 0.72, 0.52, 0.37, 0.27, 0.19, 0.14, 0.1)  # of the learning rate 1e-3
EPOCHS = sum(LENGTHS)  # 3,280
VARIANTS = {"iwae_k1": 1, "iwae_k50": 50}  # importance samples of a training step
LABELS = {name: f"IWAE, IW={k}" for name, k in VARIANTS.items()}


def cell(variant: str) -> Cell:
    return Cell("mnist", variant, len(LATENTS))


EXPERIMENTS: dict[str, list[Cell]] = {"iwae": [cell(variant) for variant in VARIANTS]}


def run_of(cell: Cell, schedule: Schedule, evaluation: Evaluation, seed: int) -> Run:
    """The Run of a cell, in stages however long it trains."""
    return Run(
        variant=cell.variant,
        data=Data(cell.data, grey_scale=255),
        model=Model(
            family="vae",
            latents=LATENTS,
            widths=WIDTHS,
            nonlinearity="tanh",
            variance="exp",
            init="glorot",
            output_bias="data",
            var_floor=0.0,
        ),
        optim=Optim(
            batch=BATCH, clip_norm=None, clip_value=None, importance_samples=VARIANTS[cell.variant]
        ),
        schedule=replace(schedule, stages=stages(schedule.epochs)),
        evaluation=evaluation,
        seed=seed,
    )


def stages(E: int) -> tuple[Stage, ...]:
    """The published stages, shrunk to E epochs: each epoch has the rate at its share of EPOCHS."""
    of_epoch = [factor for factor, n in zip(FACTORS, LENGTHS, strict=True) for _ in range(n)]
    return staged(of_epoch[e * EPOCHS // E] for e in range(E))
