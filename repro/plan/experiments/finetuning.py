"""Source: Table 1, rows "LVAE, 5-layer + finetuning" and "+ finetuning + IW=10"
Command: `repro train finetuning --profile paper --seeds 3`
Run time here: predicted 18 days a seed on one core of an AMD EPYC, nearly all of it IW=10
Expected result: L_5000 = -81.84; with 10 importance samples -81.74

From the trained model as many epochs again. The learning rate falls to 0.75 of itself nine times:
every 200 epochs of 2,000. Adam's moments are kept (our choice), and beta = 1. The last row trains
with 10 Monte-Carlo and 10 importance samples; whether the row before it had 10 Monte-Carlo samples
too is ambiguous in the paper: here 1 by default, and the other reading beside it.
"""

from dataclasses import replace

from repro.plan.experiments.grid import MAX_DEPTH, Cell
from repro.plan.run import Run, Schedule, Stage, staged

START = Cell("mnist", "lvae_bn_wu", MAX_DEPTH)
STAGES, FACTOR = 10, 0.75
VARIANTS = {  # Monte-Carlo and importance samples of a training step
    "lvae_bn_wu_ft": (1, 1),
    "lvae_bn_wu_ft_iw10": (10, 10),
    "lvae_bn_wu_ft_mc10": (10, 1),
}
LABELS = {
    "lvae_bn_wu_ft": "LVAE+BN+WU, fine-tuned",
    "lvae_bn_wu_ft_iw10": "LVAE+BN+WU, fine-tuned, IW=10",
    "lvae_bn_wu_ft_mc10": "LVAE+BN+WU, fine-tuned, MC=10",
}


def cell(variant: str) -> Cell:
    return replace(START, variant=variant)


EXPERIMENTS: dict[str, list[Cell]] = {
    "finetuning": [START, cell("lvae_bn_wu_ft"), cell("lvae_bn_wu_ft_iw10")],
    "finetuning_mc10": [START, cell("lvae_bn_wu_ft_mc10")],
}


def run_of(cell: Cell, start: Run) -> Run:
    """The Run that fine-tunes what `start` trained. Where steps are limited, so are samples."""
    mc, iw = VARIANTS[cell.variant]
    E, steps = start.schedule.epochs, start.schedule.steps_per_epoch
    steps = steps and max(1, steps // (mc * iw))
    return replace(
        start,
        variant=cell.variant,
        optim=replace(start.optim, mc_samples=mc, importance_samples=iw),
        schedule=Schedule(E, steps_per_epoch=steps, stages=stages(E)),
        start=start,
    )


def stages(E: int) -> tuple[Stage, ...]:
    """STAGES stages of equal length over E epochs; of fewer epochs, those that one falls into."""
    return staged(FACTOR ** (e * STAGES // E) for e in range(E))
