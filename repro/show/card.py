"""The model card beside published weights: what they are, how good, and how to load them."""

from repro.judge.measures import PUBLISHED, data_version, mc_error, metric, whole_set
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import cell_of
from repro.plan.profiles import profile
from repro.show.layout import Table, bound, error
from repro.show.words import products, protocol, rounded, scored_again
from repro.store import Record
from repro.store.sealed import ACTIVE_NATS

CARD = """# `{run.id}`, profile `{p.name}`

Weights of {model}, after
the last step of training, with the batch-norm statistics of the training set if it normalises:
`{run.id}.safetensors` beside this page. The model is one of *Ladder Variational Autoencoders*
(Sønderby et al. 2016), trained with one seed, whose numbers do not show the spread over seeds.
Written by `repro publish` from the [record](../../{p.name}/{run.id}).

{table}
Loaded, in a checkout, by

```python
from repro.api import load_model

model = load_model("{run.id}", "{p.name}", store="results")
```

Trained by `repro train {run.id} --profile {p.name}{rounded}`.
Scored again, and held against its record, by
`repro verify {run.id} --profile {p.name} --store results`.

Licence: MIT, as the code. The training images are not part of the file.
"""


def card(record: Record) -> str:
    """Markdown, for `weights/<profile>/<run id>.md` of a store. Raises RecordError.

    Of a hierarchy: weights of Ladder networks are not published.
    """
    run, p = record.run, profile(record.profile)
    rows = {
        "data": _data(record),
        "trained by": f"profile {p.name}: {p.summary}; seed {run.seed}",
        "made with": _made_with(record),
        "L_1, test set": f"{bound(metric(record, 'L1_test'))} ± {error(metric(record, 'L1_se'))}",
        **_importance_bound(record),
        "KL of each layer, z_1 upward": ", ".join(map(bound, record.final["kl_layers"])),
        f"units above {ACTIVE_NATS:g} nats of KL, z_1 upward": "-".join(
            map(str, record.final["active_units"])
        ),
    }
    caption = "Bounds and KL in nats per example, bounds ± the standard error over test images."
    model = f"{label_of(cell_of(run))} with {run.model.depth} stochastic layers"
    table = Table(f"The model{protocol(p)}", caption, ("", "value"), tuple(rows.items()))
    shown = {"model": model, "table": table.markdown(), "rounded": rounded(record)}
    return CARD.format(run=run, p=p, **shown)


def _data(record: Record) -> str:
    run, version = record.run, data_version(record)
    own = "" if version == PUBLISHED else f", {version}: other data than the paper's"
    sha256 = record.env.get("data", {}).get("hash", "not recorded")
    return f"{run.data.name}{own}, grey value = byte / {run.data.grey_scale}; SHA-256 `{sha256}`"


def _made_with(record: Record) -> str:
    env = record.env
    earlier = "".join(f", before that by commit `{c}`" for c in env.get("earlier_commits", ()))
    earlier += "".join(f", before that on {d}" for d in env.get("earlier_device", ()))
    torch = env.get("versions", {}).get("torch", "of unknown version")
    return (
        f"commit `{env.get('commit')}`{earlier}, {env.get('device')}, engine {env.get('engine')},"
        f" torch {torch}, matrix products in {products(record)}{scored_again(record)}"
    )


def _importance_bound(record: Record) -> dict[str, str]:
    """L_K of the images it was measured on, and of the whole test set where these are fewer."""
    K, images = record.final["K"], record.final["LK_images"]
    value, se = metric(record, "LK_test"), metric(record, "LK_se")
    measured = f"{bound(value)} ± {error(se)}; Monte-Carlo error {error(mc_error(record))}"
    rows = {f"L_{K}, {images:,} test images": measured}
    if (whole := whole_set(record)) and whole[1]:
        of_all = f"{bound(whole[0])} ± {error(whole[1])}, of the regression on L_1 alone"
        rows[f"L_{K}, whole test set"] = of_all
    return rows
