"""A record beside the same, measured again: which differences rounding and chance explain.

With the record's own draws the bound of each image must lie as near its recorded one as rounding
leaves it; with others, as far from it as the same network's bounds lie apart under two noises.
Means alone would not do: those of another training of the same Run may well agree.
"""

import math

import numpy as np
import torch
from torch import Tensor

from repro.errors import RecordError
from repro.model.layers import Net
from repro.store import Record
from repro.store.sealed import ACTIVE_NATS, RESTORE
from repro.train.evaluate import bounds, importance_bound
from repro.train.ladder_score import PERCENT, LadderScore, cost_names
from repro.train.score import Images, noise_of, standard_error
from repro.train.tasks.task import Again, Compared

ROUNDING = 0.001  # nats of a mean, share of a cost: what another processor or thread count makes
SAME = 0.05  # of the distance between two noises: nearer images have met the same noise
SIGMAS = 4.0
SCORED_TWICE = 100  # images whose L_K is measured with another noise: enough to know its spread
SPREAD, MC_SPREAD = 0.05, 0.5  # of a standard error, and of a Monte-Carlo error
TIE = 0.02  # between logits: rounding, of TF32 too, decides which of two classes is nearer
COSTS_CLOSE, NO_COST = 0.02, 0.001  # of a cost whose noise is another, and where it is hardly any


def bounds_again(record: Record, again: Again) -> list[Compared]:
    """Bounds, their errors, KL and active units of each layer of a hierarchy. Nats per example.

    Raises RecordError where the record holds bounds of another number of images.
    """
    final, metrics, found, chance = record.final, again.metrics, [], {}
    others = _under_another_noise(record, again.images, again.last.net)
    for b, mean in (("L1", "L1_test"), ("LK", "LK_test")):
        scored = again.arrays["per_image"][b]
        stored = _stored(record, "per_image", b, scored, f"images of {b}")
        now, before = (torch.from_numpy(x).double() for x in (scored, stored))
        chance[b] = ROUNDING + SIGMAS * standard_error(now - before)
        found += [
            Compared(mean, final[mean], metrics[mean], chance[b]),
            Compared(f"{mean}, of its images", final[mean], float(before.mean()), ROUNDING),
            _apart(f"{b} apart, rms", before, now, others[b], again.same_draws),
        ]
    spread = {"L1_se": SPREAD, "LK_se": SPREAD, "LK_mc_error": MC_SPREAD}
    if again.same_draws and final.get("LK_jackknife_error") is not None:  # older ones have none
        spread["LK_jackknife_error"] = MC_SPREAD
    for name, share in spread.items():
        allowed = ROUNDING + (0 if again.same_draws else share * metrics[name])
        found.append(Compared(name, final[name], metrics[name], allowed))
    pairs = {"L1_train": (final["L1_train"], metrics["L1_train"])}
    both = zip(final["kl_layers"], metrics["kl_layers"], strict=True)
    pairs |= {f"KL_{i}": pair for i, pair in enumerate(both, start=1)}
    found += [Compared(name, *pair, chance["L1"]) for name, pair in pairs.items()]
    return found + _active_units(record, again)


def _stored(record: Record, file: str, name: str, now: np.ndarray, what: str) -> np.ndarray:
    """An array of the record, which must have the shape that it has now."""
    found = record.arrays(file).get(name)
    if found is None or found.shape != now.shape:
        raise RecordError(f"{record.folder / file}.npz: not {len(now)} {what}: {RESTORE}")
    return found


def _under_another_noise(record: Record, images: Images, net: Net) -> dict[str, Tensor]:
    """L_1 of every test image, and L_K of the first, with draws of an epoch that never was."""
    run, rows = record.run, images.room.rows
    noise = noise_of(run, run.schedule.epochs + 1, images.test.device)
    x = images.test[: run.evaluation.test_images].float().unsqueeze(0)
    K, n = run.evaluation.importance_samples, min(SCORED_TWICE, record.final["LK_images"])
    return {
        "L1": bounds(net, x, noise, "test", rows).L1[0].double().cpu(),
        "LK": importance_bound(net, x[:, :n], noise, K, rows).LK[0].cpu(),
    }


def _apart(name: str, before: Tensor, now: Tensor, other: Tensor, same: bool) -> Compared:
    """How far recorded bounds of images lie from those of now, root mean square, [N] each.

    Expected is 0 with the same draws, and else what `other` draws, [n] of the first images, give.
    """
    found = math.sqrt(float((now - before).square().mean()))
    squares = (now[: len(other)] - other).square()
    expected = math.sqrt(float(squares.mean()))
    near = max(SAME * expected, ROUNDING)
    if same or found <= near:
        return Compared(name, found, 0.0, near)
    spread = SIGMAS * math.sqrt(2) * standard_error(squares)
    return Compared(name, found, expected, math.sqrt(expected**2 + spread) - expected)


def _active_units(record: Record, again: Again) -> list[Compared]:
    """Of each layer; a unit whose KL is nearly the threshold may be either."""
    sizes = np.cumsum(record.run.hierarchy.latents)[:-1]
    factor = 1 + ROUNDING if again.same_draws else 2
    low, high = ACTIVE_NATS / factor, ACTIVE_NATS * factor
    both = zip(record.final["active_units"], again.metrics["active_units"], strict=True)
    layers = zip(both, np.split(again.last.kl_test, sizes), strict=True)
    return [
        Compared(f"active_{i}", *pair, int(((kl > low) & (kl < high)).sum()))
        for i, (pair, kl) in enumerate(layers, start=1)
    ]


def errors_again(record: Record, again: Again) -> list[Compared]:
    """Test error and costs of a Ladder network, which classifies without noise.

    Only images so near two classes that rounding decides may be classified otherwise. The noise of
    its costs is drawn anew on another kind of device. Raises RecordError as `bounds_again`.
    """
    last: LadderScore = again.last
    final, metrics = record.final, again.metrics
    told = _stored(record, "predictions", "predicted", last.predicted, "classes")
    ties, wrong = last.margin < TIE, int((told != last.classes).sum())
    M, otherwise = len(told), int(((told != last.predicted) & ~ties).sum())
    allowed = PERCENT * float(ties.sum()) / M + 1e-9
    found = [
        Compared("error_percent", final["error_percent"], metrics["error_percent"], allowed),
        Compared("error_percent, of its images", final["error_percent"], PERCENT * wrong / M, 1e-9),
        Compared("errors, of its images", final["errors"], wrong, 0),
        Compared("classified otherwise", 0, otherwise, 0),
    ]
    costs = {"cross_entropy": (final["cross_entropy"], metrics["cross_entropy"])}
    both = zip(final["denoising"], metrics["denoising"], strict=True)
    costs |= dict(zip(cost_names(record.run.model.depth), both, strict=True))
    share, least = (ROUNDING, 0.0) if again.same_draws else (COSTS_CLOSE, NO_COST)
    return found + [
        Compared(name, *pair, share * abs(pair[1]) + least)
        for name, pair in costs.items()
        if None not in pair
    ]
