"""What a Run must fulfil to make sense, and what to say and advise where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.plan.run import Run


def problems(run: Run) -> Iterator[str]:
    """Each condition that does not hold, with the remedy."""
    o, s, e = run.optim, run.schedule, run.evaluation
    yield from _of_ladder(run) if run.model.family == "ladder" else _of_hierarchy(run)
    if s.epochs < 1:
        yield f"schedule.epochs is {s.epochs}: train at least one"
    if s.steps_per_epoch is not None and s.steps_per_epoch < 1:
        yield f"schedule.steps_per_epoch is {s.steps_per_epoch}: give at least 1, or none for all"
    if s.warmup_epochs < 0:
        yield f"schedule.warmup_epochs is {s.warmup_epochs}: use 0 for none"
    if s.decay_from is not None and not 0 < s.decay_from < 1:
        yield f"schedule.decay_from is {s.decay_from}: give a share between 0 and 1"
    staged = [stage.epochs for stage in s.stages]
    if staged and sum(staged) != s.epochs:
        yield f"schedule.stages last {sum(staged)} of {s.epochs} epochs: give every epoch its stage"
    if staged and (s.decay_from is not None or min(staged) < 1):
        yield "schedule.stages: give each an epoch or more, and no schedule.decay_from beside them"
    own = (run.model, run.data, run.seed)
    if run.start is not None and (run.start.model, run.start.data, run.start.seed) != own:
        yield "start is of another model, data or seed: a Run goes on with its own"
    if not e.epochs or max(e.epochs) != s.epochs or min(e.epochs) < 1:
        yield f"evaluation.epochs must lie in 1..{s.epochs} and end with the last epoch"
    if min(o.batch, o.mc_samples, o.importance_samples, e.importance_samples) < 1:
        yield "batch and sample counts must be at least 1"
    if any(n is not None and n < 1 for n in (e.train_images, e.test_images, e.lk_images)):
        yield "evaluation: give one image or more of each kind, or none for all"


def _of_hierarchy(run: Run) -> Iterator[str]:
    m, o = run.hierarchy, run.optim
    if m.depth < 1:
        yield "model.latents is empty: give at least one layer"
    if len(m.widths) < m.depth:
        yield f"{len(m.widths)} widths for {m.depth} layers: give one each"
    if min((*m.latents, *m.widths), default=0) <= 0:
        yield "latents and widths must be positive"
    if m.family != "lvae" and o.kl != "mc":
        yield (
            "optim.kl 'closed' is wrong for a bottom-up VAE (z_{i+1} was drawn from z_i): use 'mc'"
        )
    if m.family != "lvae" and not (m.shared and m.upward == "d"):
        yield "model.shared and model.upward are choices of the LVAE: leave their defaults"
    if m.flows < 0 or (m.flows and (m.family != "vae" or m.depth != 1)):
        yield f"model.flows is {m.flows}: give a VAE of one layer as many as you like, others 0"
    if m.output_bias != "zero" and m.observation != "bernoulli":
        yield "model.output_bias 'data' is the logit of a mean: of a Bernoulli p(x|z_1) only"
    if o.kl != "mc" and o.importance_samples != 1:
        yield (
            f"optim.kl 'closed' with {o.importance_samples} importance samples is no bound: eq. (6)"
            " needs each sample's own weight: use 'mc'"
        )


def _of_ladder(run: Run) -> Iterator[str]:
    m, data, batch = run.ladder, run.labelled, run.labelled_batch
    layers, classes = len(m.sizes), m.sizes[-1] if m.sizes else 1
    is_mlp = m.combinator in ("mlp", "amlp")
    if run.start is not None:
        yield "start is of hierarchies only: a Ladder network begins afresh"
    if layers < 2 or min(m.sizes) <= 0:
        yield "model.sizes: give the pixels and at least one layer"
    if not len(m.noise) == len(m.cost_weights) == layers:
        yield (
            f"model.noise and model.cost_weights: give one for each of the {layers} layers,"
            " the pixels first"
        )
    if not set(m.costly) <= set(m.estimated):
        yield (
            f"model.cost_weights: decoder {m.decoder!r} estimates layers {list(m.estimated)} only:"
            " use 0 elsewhere"
        )
    if is_mlp != bool(m.combinator_hidden) or (is_mlp and m.combinator_init != "random"):
        yield "an MLP combinator, and no other, needs combinator_hidden, and begins at random"
    if m.combinator_init == "swapped" and m.combinator not in ("sig", "g2", "g3", "linear"):
        yield f"combinator_init 'swapped' has no meaning for {m.combinator!r}: use 'ones'"
    if m.combinator_init == "lateral" and m.combinator != "sig":
        yield f"combinator_init 'lateral' is of 'sig' only, not of {m.combinator!r}: use 'ones'"
    if m.estimate_scale != "clean" and not m.joined:
        yield "model.estimate_scale 'noisy' needs one statistic for all rows: use it with joined"
    if m.passed_down != "raw" and not m.estimate_norm:
        yield "model.passed_down 'normalised' needs estimate_norm: use 'raw' without"
    if data.labels < 2:
        yield f"data.labels is {data.labels}: say how many images are labelled"
    if data.label_order != "random" and data.balanced:
        yield "data.label_order 'file' takes the first images whatever their class: not balanced"
    if data.balanced and data.labels % classes:
        yield (
            f"data.labels {data.labels} is not divisible by {classes}, the number of classes:"
            " give equally many of each"
        )
    if batch == 1:
        yield "a minibatch of one labelled image has no variance to normalise by: use 2 or more"
    elif batch <= 0 or data.labels % batch:
        yield f"data.labels {data.labels} is no multiple of the minibatch's {batch}: choose another"
