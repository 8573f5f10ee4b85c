"""What a Run must fulfil to make sense, each with what to say where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.plan.run import Run


def conditions(run: Run) -> list[tuple[bool, str]]:
    """Whether each condition holds, and what to say and advise where it does not."""
    o, s, e = run.optim, run.schedule, run.evaluation
    own = _of_ladder if run.model.family == "ladder" else _of_hierarchy
    return [
        *own(run),
        (s.epochs >= 1, f"schedule.epochs is {s.epochs}: train at least one"),
        (
            s.steps_per_epoch is None or s.steps_per_epoch >= 1,
            f"schedule.steps_per_epoch is {s.steps_per_epoch}: give at least 1, or none for all",
        ),
        (s.warmup_epochs >= 0, f"schedule.warmup_epochs is {s.warmup_epochs}: use 0 for none"),
        (
            s.decay_from is None or 0 < s.decay_from < 1,
            f"schedule.decay_from is {s.decay_from}: give a share between 0 and 1",
        ),
        (
            not s.stages or sum(stage.epochs for stage in s.stages) == s.epochs,
            f"schedule.stages last {sum(stage.epochs for stage in s.stages)} of {s.epochs} epochs:"
            " give every epoch its stage",
        ),
        (
            not s.stages or (s.decay_from is None and min(x.epochs for x in s.stages) >= 1),
            "schedule.stages: give each an epoch or more, and no schedule.decay_from beside them",
        ),
        (
            run.start is None
            or (run.start.model, run.start.data, run.start.seed) == (run.model, run.data, run.seed),
            "start is of another model, data or seed: a Run goes on with its own",
        ),
        (
            bool(e.epochs) and max(e.epochs) == s.epochs and min(e.epochs) >= 1,
            f"evaluation.epochs must lie in 1..{s.epochs} and end with the last epoch",
        ),
        (
            min(o.batch, o.mc_samples, o.importance_samples, e.importance_samples) >= 1,
            "batch and sample counts must be at least 1",
        ),
    ]


def _of_hierarchy(run: Run) -> list[tuple[bool, str]]:
    m, o = run.hierarchy, run.optim
    return [
        (m.depth >= 1, "model.latents is empty: give at least one layer"),
        (len(m.widths) >= m.depth, f"{len(m.widths)} widths for {m.depth} layers: give one each"),
        (min((*m.latents, *m.widths), default=0) > 0, "latents and widths must be positive"),
        (
            m.family == "lvae" or o.kl == "mc",
            "optim.kl 'closed' is wrong for a bottom-up VAE (z_{i+1} was drawn from z_i): use 'mc'",
        ),
        (
            m.family == "lvae" or (m.shared and m.upward == "d"),
            "model.shared and model.upward are choices of the LVAE: leave their defaults",
        ),
        (
            m.flows == 0 or (m.flows > 0 and m.family == "vae" and m.depth == 1),
            f"model.flows is {m.flows}: give a VAE of one layer as many as you like, others 0",
        ),
        (
            m.output_bias == "zero" or m.observation == "bernoulli",
            "model.output_bias 'data' is the logit of a mean: of a Bernoulli p(x|z_1) only",
        ),
        (
            o.kl == "mc" or o.importance_samples == 1,
            f"optim.kl 'closed' with {o.importance_samples} importance samples is no bound: eq. (6)"
            " needs each sample's own weight: use 'mc'",
        ),
    ]


def _of_ladder(run: Run) -> list[tuple[bool, str]]:
    m, data, batch = run.ladder, run.labelled, run.labelled_batch
    layers, classes = len(m.sizes), m.sizes[-1] if m.sizes else 1
    is_mlp = m.combinator in ("mlp", "amlp")
    return [
        (run.start is None, "start is of hierarchies only: a Ladder network begins afresh"),
        (layers >= 2 and min(m.sizes) > 0, "model.sizes: give the pixels and at least one layer"),
        (
            len(m.noise) == len(m.cost_weights) == layers,
            f"model.noise and model.cost_weights: give one for each of the {layers} layers,"
            " the pixels first",
        ),
        (
            set(m.costly) <= set(m.estimated),
            f"model.cost_weights: decoder {m.decoder!r} estimates layers {list(m.estimated)} only:"
            " use 0 elsewhere",
        ),
        (
            is_mlp == bool(m.combinator_hidden) and (not is_mlp or m.combinator_init == "random"),
            "an MLP combinator, and no other, needs combinator_hidden, and begins at random",
        ),
        (
            m.combinator_init != "swapped" or m.combinator in ("sig", "g2", "g3", "linear"),
            f"combinator_init 'swapped' has no meaning for {m.combinator!r}: use 'ones'",
        ),
        (
            m.combinator_init != "lateral" or m.combinator == "sig",
            f"combinator_init 'lateral' is of 'sig' only, not of {m.combinator!r}: use 'ones'",
        ),
        (
            m.estimate_scale == "clean" or m.joined,
            "model.estimate_scale 'noisy' needs one statistic for all rows: use it with joined",
        ),
        (
            m.passed_down == "raw" or m.estimate_norm,
            "model.passed_down 'normalised' needs estimate_norm: use 'raw' without",
        ),
        (data.labels >= 2, f"data.labels is {data.labels}: say how many images are labelled"),
        (
            data.label_order == "random" or not data.balanced,
            "data.label_order 'file' takes the first images whatever their class: not balanced",
        ),
        (
            not data.balanced or data.labels % classes == 0,
            f"data.labels {data.labels} is not divisible by {classes}, the number of classes:"
            " give equally many of each",
        ),
        (
            batch > 0 and data.labels % batch == 0,
            f"data.labels {data.labels} is no multiple of the minibatch's {batch}: choose another",
        ),
    ]
