"""`repro bench`: how quickly lanes train here, and whether that got worse."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from repro.cli.shared.options import AsJson, Threads, command, flag, given
from repro.cli.shared.terminal import FAILED, complain, print_json, say, screen
from repro.errors import MachineError, NothingError


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
        given(
            "Hold ratios against a saved --json; exit 1 where one is over 15% worse.",
            "FILE",
            readable=False,
        ),
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

    saved, on_cuda = comparing.load(compare) if compare else None, here().type == "cuda"
    chosen = known.quick_arms(on_cuda) if quick else known.cuda_arms() if on_cuda else known.arms()
    if arms is not None:
        chosen = known.select(known.known_arms(), [p.strip() for p in arms.split(",")])
    work = known.QUICK if quick else known.ON_CUDA if on_cuda else known.Workload()

    def starting(arm: known.Arm) -> None:
        """A line an arm, away from the JSON."""
        place = f"{chosen.index(arm) + 1} of {len(chosen)}"
        print(f"measuring {arm.name} ({place})", file=sys.stderr, flush=True)

    result = suite.bench(chosen, work, threads, starting)
    against = {"against": comparing.compare(result, saved)} if saved else {}
    if as_json:
        print_json({**result, **against})
    else:
        _print(result, **against)
    _conclude(result, **against)


def _print(result: dict[str, Any], against: dict[str, Any] | None = None) -> None:
    screen().print(as_table(result))
    for entry in result["arms"]:
        if "absent" in entry:
            say(f"{entry['arm']}: absent: {entry['absent']}")
    counted = {entry["arm"]: entry["roofline"] for entry in result["arms"] if "roofline" in entry}
    if counted:
        say(result["roofline"])
    for arm, r in counted.items():
        say(
            f"  {arm}: {r['flops']:.4g} FLOP at {r['flop_per_s']:.3g}/s;"
            f" {r['parameters']:,} parameters and {r['activations']:,} activations,"
            f" {r['bytes']:.4g} bytes at {r['bytes_per_s']:.3g}/s;"
            f" bound {1e3 * r['bound_seconds']:.3g} ms, reached {100 * r['fraction']:.0f}%"
        )
    for condition in against["conditions"] if against else ():
        say(f"measured under other conditions: {condition}")
    for where, key in (("here", "only_ours"), ("in the file", "only_saved")):
        if against and against[key]:
            say(f"only {where}: {'; '.join(against[key])}")


def as_table(result: dict[str, Any]) -> Table:
    """As the report has it: one row an operation."""
    from repro.show.report.measured import bench_of

    shown = bench_of(result, "").table
    table = Table(
        title=f"{result['device']}, {result['threads']} threads, torch {result['torch']},"
        f" {result['date']}",
        caption="medians; spread: quartile distance over median. × single: against as many single"
        " models written as usual; × products: against the matrix products alone, in turn;"
        " roofline: share reached of the bound below",
    )
    for i, name in enumerate(shown.columns):
        if shown.numeric(i):
            table.add_column(name, justify="right")
        else:
            table.add_column(name, min_width=max((len(row[i]) for row in shown.rows), default=0))
    for row in shown.rows:
        table.add_row(*row)
    return table


def _conclude(result: dict[str, Any], against: dict[str, Any] | None = None) -> None:
    """Raises Exit: 3 where an arm broke, or none was measured or is in the file; 1 where a ratio
    got worse.
    """
    failed = [entry for entry in result["arms"] if "failed" in entry]
    for entry in failed:
        complain(f"{entry['arm']} failed: {entry['failed']}", MachineError.code)
    if not failed and not any("operations" in entry for entry in result["arms"]):
        why = "nothing measured: every arm is absent: choose other --arms"
        raise typer.Exit(complain(why, NothingError.code))
    if not failed and against and not against["changes"]:
        why = "no ratio to compare: no arm measured here is in the file: choose its --arms"
        raise typer.Exit(complain(why, NothingError.code))
    worse = [change for change in against["changes"] if change["worse"]] if against else []
    for c in worse:
        ours, saved = c["ours"], c["saved"]
        change = f"{saved:.3g} -> {ours:.3g} ({100 * (ours / saved - 1):+.0f}%)"
        complain(f"worse: {c['arm']}, {c['operation']}: {c['ratio']} {change}", FAILED)
    if failed:
        raise typer.Exit(MachineError.code)
    if worse:
        raise typer.Exit(FAILED)
