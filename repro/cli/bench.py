"""`repro bench`: how quickly lanes train here, and whether that got worse."""

import functools
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from repro.cli.shared.options import AsJson, Threads, command, flag, given
from repro.cli.shared.terminal import FAILED, complain, print_json, say, screen
from repro.errors import MachineError


@command(
    "repro bench",
    "repro bench --quick",
    "repro bench --arms 'eager single,compiled*' --json > bench.json",
    "repro bench --compare bench.json",
)
def bench(
    arms: Annotated[
        str | None, given("Only these arms, by name or pattern: 'eager K=4', 'compiled*'.", "A,B")
    ] = None,
    quick: Annotated[
        bool, flag("--quick", "Few repeats, and four arms unless --arms names others.")
    ] = False,
    compare: Annotated[
        Path | None,
        given("Exit 1 where a ratio got over 15% worse than in a --json.", "FILE", readable=False),
    ] = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure forward, backward, step and L_K of single models and stacks.

    All arms take about 15 minutes on two CPU cores, most of them compiling. On a CUDA device,
    others are chosen, made ready side by side: graphs of one to hundreds of lanes, in 3 minutes.
    """
    from repro.bench import arms as known
    from repro.bench import compare as comparing
    from repro.bench import suite
    from repro.machine.device import here

    on_cuda = here().type == "cuda"
    chosen = known.chosen(arms, quick, on_cuda)
    saved = comparing.load(compare, [arm.name for arm in chosen]) if compare else None
    repeats = known.QUICK if quick else known.ON_CUDA if on_cuda else known.REPEATS
    notice = functools.partial(print, file=sys.stderr, flush=True)  # away from the JSON
    result = suite.bench(chosen, repeats, threads, notice)
    against = comparing.compare(result, saved) if saved else {}
    if as_json:
        print_json({**result, "against": against} if saved else result)
    else:
        _print(result, against)
    if codes := [complain(*problem) for problem in _problems(result, against)]:
        raise typer.Exit(max(codes))


def _print(result: dict[str, Any], against: dict[str, Any]) -> None:
    """The report's table, one row an operation, and what it leaves out."""
    from repro.show.report.measured import bench_of

    shown = bench_of(result, "").table
    table = Table(
        title=f"{result['device']}, {result['threads']} threads, torch {result['torch']},"
        f" {result['date']}",
        caption="medians; spread: quartile distance over median; × single: against as many single"
        " models written as usual; × products: against the matrix products alone, in turn",
    )
    for i, name in enumerate(shown.columns):
        numeric = shown.numeric(i)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=not numeric)
    for row in shown.rows:
        table.add_row(*row)
    screen().print(table)
    say(result["roofline"])
    for entry in result["arms"]:
        if "roofline" in entry:
            numbers = (f"{name} {value:.4g}" for name, value in entry["roofline"].items())
            say(f"  {entry['arm']}: {', '.join(numbers)}")
        if "absent" in entry:
            say(f"{entry['arm']}: absent: {entry['absent']}")
    for key in ("conditions", "only_ours", "only_saved"):
        if against.get(key):
            say(f"{key.replace('_', ' ')}: {'; '.join(against[key])}")


def _problems(result: dict[str, Any], against: dict[str, Any]) -> list[tuple[str, int]]:
    """Why this is no success, each with its exit code: 3 where an arm broke, or none was measured
    or is in the file; 1 where a ratio got worse."""
    arms = result["arms"]
    found = [
        (f"{e['arm']} failed: {e['failed']}", MachineError.code) for e in arms if "failed" in e
    ]
    if not found and not any("operations" in entry for entry in arms):
        return [("nothing measured: every arm is absent: choose other --arms", MachineError.code)]
    if not found and against and not against["changes"]:
        why = "no ratio to compare: no arm measured here is in the file: choose its --arms"
        return [(why, MachineError.code)]
    for c in (change for change in against.get("changes", ()) if change["worse"]):
        by = f"{c['saved']:.3g} -> {c['ours']:.3g} ({100 * (c['ours'] / c['saved'] - 1):+.0f}%)"
        found.append((f"worse: {c['arm']}, {c['operation']}: {c['ratio']} {by}", FAILED))
    return found
