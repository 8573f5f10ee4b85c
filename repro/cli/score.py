"""`repro score`: a trained model on images of your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from repro.cli.shared import options
from repro.cli.shared.images import read_images
from repro.cli.shared.options import AsJson, ProfileToRead, command, flag, given, holding
from repro.cli.shared.terminal import print_json, say
from repro.data.images import MOST, are_bytes, array_of, binarise, refuse_other_shapes
from repro.errors import UsageError
from repro.store.files import write_file

if TYPE_CHECKING:
    from repro.api import TrainedHierarchy, TrainedLadder

CHAINS, TEMPERATURES = 16, 1000  # those of repro.api, which imports torch


@command(
    "repro score digits.npy --run mnist-lvae_bn_wu-L5-s1",
    "repro score digits.npy --run mnist-lvae_bn_wu-L5-s1 --binarise --samples 5000",
    "repro score digits.npy --run mnist-lvae_bn_wu-L5-s1 --ais --out log_p.csv",
    "repro score digits.npy --run ladder-full-100-s1 --profile reduced --out classes.csv",
)
def score(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            readable=False,  # that it is not is an error of the data, said where it is read
            help="Images, [N, X] or [N, height, width]: .npy, .npz, .csv or .amat.",
        ),
    ],
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="Whose model.")],
    profile: ProfileToRead = None,
    store: options.StoreToRead = None,
    samples: Annotated[
        int, typer.Option(min=1, max=MOST, metavar="K", help="Importance samples of L_K.")
    ] = 500,
    ais: Annotated[
        bool, flag("--ais", "Also log p(x) by annealed importance sampling: minutes.")
    ] = False,
    chains: Annotated[
        int, typer.Option(min=1, max=MOST, metavar="S", help="Of --ais, for each image.")
    ] = CHAINS,
    temperatures: Annotated[
        int, typer.Option(min=1, max=MOST, metavar="T", help="Of --ais, from q(z|x) to p(z|x).")
    ] = TEMPERATURES,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of every draw.")] = 0,
    draw: Annotated[bool, flag("--binarise", "Draw binary pixels from bytes 0 to 255.")] = False,
    out: Annotated[Path | None, given("Write a line an image.", "FILE.csv", readable=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Score images of your own with a trained model: L_1 and L_K, or the classes they are given.

    --ais adds an estimate of log p(x) that the quality of q(z|x) hardly enters.

    VAE, LVAE: pixels 0 and 1, or integers 0 to 255 with --binarise; of small NORB real values
    (byte + u) / 256. Ladder network: integers 0 to 255, or pixels from 0 to 1.
    """
    if not ais and (chains, temperatures) != (CHAINS, TEMPERATURES):
        raise UsageError("--chains and --temperatures are of --ais: add it, or leave them out")
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out}: a folder: name a file")
    images, (opened, p) = read_images(file), holding(run, profile, store)
    if out is not None and out.exists() and out.samefile(file):
        raise UsageError(f"--out {out}: the images themselves: name another file")
    from repro.api import TrainedLadder, load_model

    model = load_model(run, p.name, opened.root)
    if isinstance(model, TrainedLadder):
        if draw:
            raise UsageError(
                f"--binarise: {run} is a Ladder network, which takes bytes as they are"
            )
        if ais:
            raise UsageError(f"--ais: {run} is a Ladder network, which has no p(x): leave it out")
        each = classified(model, images)
        summary: dict[str, Any] = {"classes": np.bincount(each["class"], minlength=10).tolist()}
    else:
        if draw:
            images = _binary(model, images, seed)
        each, summary = scored(model, images, samples, seed)
        if ais:
            more, found = annealed(model, images, chains, temperatures, seed)
            each, summary = each.join(more), {**summary, **found}
    if out is not None:
        write_file(out, each.to_csv(index_label="image", float_format="%.7g").encode())
    head = {"run": run, "profile": p.name, "file": str(file), "images": len(images)}
    if as_json:
        print_json({**head, **summary, "each": each.to_dict("list")})
        return
    say(f"{file}: {len(images)} images, {run} of profile {p.name}")
    for line in _told(summary):
        say(line)
    if out is not None:
        say(f"one line an image: {out}")


def _told(summary: dict[str, Any]) -> list[str]:
    if "classes" in summary:
        counts = (f"{n} of class {c}" for c, n in enumerate(summary["classes"]) if n)
        return [", ".join(counts)]
    LK = f"L_{summary['K']}" if summary["K"] > 1 else "L_K, K = 1"
    lines = [_bound(summary, "L1", "L_1  "), _bound(summary, "LK", LK, "sample")]
    if "AIS" in summary:
        lines += [
            _bound(summary, "AIS", "AIS  ", "chain"),
            f"      {summary['chains']} chains of {summary['temperatures']} temperatures,"
            f" {summary['AIS_accepted']:.0%} of proposals accepted",
        ]
    return lines


def _bound(summary: dict[str, Any], name: str, shown: str, drawn: str = "") -> str:
    """A mean with its error over images and, of what is `drawn` several times, that of drawing."""
    se, mc = summary[f"{name}_se"], summary.get(f"{name}_mc_error")
    errors = ["one image: no s.e." if se is None else f"s.e. over images {se:.2g}"]
    if drawn:
        errors.append(f"one {drawn}: no MC error" if mc is None else f"MC error {mc:.2g}")
    return f"{shown} {summary[name]:.2f} nats per image, {', '.join(errors)}"


def classified(model: TrainedLadder, images: np.ndarray) -> pd.DataFrame:
    """A row an image: class. Integers above 1 are bytes."""
    refuse_other_shapes(images, model.run.ladder.sizes[0])
    if are_bytes(array_of(images)) and images.max() > 1:
        images = images / np.float32(model.run.data.grey_scale)
    return pd.DataFrame({"class": model.classify(images)})


def scored(
    model: TrainedHierarchy, images: np.ndarray, samples: int, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A row an image, L1 and LK, and their means with errors; nats per example."""
    s = model.score(images, samples, seed)
    _refuse_infinite(model, s.L1, s.LK)
    mc_error = s.mc_error if samples > 1 else None
    means = {"K": samples, "LK_mc_error": mc_error, **_mean("L1", s.L1), **_mean("LK", s.LK)}
    return pd.DataFrame({"L1": s.L1, "LK": s.LK}), means


def annealed(
    model: TrainedHierarchy, images: np.ndarray, chains: int, temperatures: int, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A row an image: log p(x) by AIS, its error and acceptance; and what came of all."""
    a = model.annealed(images, chains, temperatures, seed)
    _refuse_infinite(model, a.log_p)
    each = {"AIS": a.log_p, "AIS_accepted": a.accepted}
    if chains > 1:
        each["AIS_mc_error"] = a.error
    return pd.DataFrame(each), {
        **_mean("AIS", a.log_p),
        "AIS_mc_error": a.mc_error if chains > 1 else None,
        "AIS_accepted": float(a.accepted.mean()),
        "chains": chains,
        "temperatures": temperatures,
        "step_sizes": a.steps,
    }


def _refuse_infinite(model: TrainedHierarchy, *bounds: np.ndarray) -> None:
    if not all(np.isfinite(values).all() for values in bounds):
        raise UsageError(f"{model.run.id}: pixels so far from its data that a bound is infinite")


def _mean(name: str, values: np.ndarray) -> dict[str, float | None]:
    """The mean over images, and its standard error."""
    n = len(values)
    error = float(values.std(ddof=1, dtype=float) / n**0.5) if n > 1 else None
    return {name: float(values.mean(dtype=float)), f"{name}_se": error}


def _binary(model: TrainedHierarchy, images: np.ndarray, seed: int) -> np.ndarray:
    if model.run.hierarchy.observation != "bernoulli":
        raise UsageError(f"--binarise: {model.run.id} models real values: leave it out")
    refuse_other_shapes(images, model.pixels)
    return binarise(images, model.run.data.grey_scale, seed)
