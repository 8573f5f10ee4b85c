"""log p(x) of the first test images by annealed importance sampling, for a record."""

import math
from typing import Any

import numpy as np

from repro.model.layers import Net
from repro.plan.run import Run
from repro.train.annealing.chains import CHAINS, TEMPERATURES, annealed, tuned_path
from repro.train.score import Images, known, noise_of

PREFIX = "AIS_"  # of what a record says of it


def annealed_scores(run: Run, images: Images, net: Net, n: int) -> dict[str, Any]:
    """Mean over the first n test images, nats per example, with its error over images and chains.

    net: folded. In expectation a lower bound on log p(x); of test images there is no upper one.
    None where a number is not finite.
    """
    noise = noise_of(run, run.schedule.epochs, images.test.device)
    x = images.test[:n].float().unsqueeze(0)
    found = annealed(net, x, noise, tuned_path(net, noise, TEMPERATURES, CHAINS), CHAINS)
    log_p = found.log_p.astype(float)
    said = {
        "test": float(log_p.mean()),
        "se": float(log_p.std(ddof=1)) / math.sqrt(len(log_p)) if len(log_p) > 1 else math.nan,
        "mc_error": float(found.mc_error),
        "accepted": float(np.mean(found.accepted)),
        "images": len(log_p),
        "chains": CHAINS,
        "temperatures": TEMPERATURES,
    }
    return {f"{PREFIX}{name}": known(value) for name, value in said.items()}
