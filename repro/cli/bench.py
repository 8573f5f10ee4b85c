"""`repro bench`: how quickly lanes train here, and whether that got worse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from repro.cli.shared.options import AsJson, examples
from repro.cli.shared.terminal import FAILED, complain, print_json, say, screen
from repro.errors import MachineError, NothingError

if TYPE_CHECKING:
    from repro.bench.arms import Arm
    from repro.bench.compare import Comparison


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "repro bench",
            "repro bench --quick",
            "repro bench --arms 'eager single,compiled*' --json > bench.json",
            "repro bench --compare bench.json",
        )
    )(bench)


def bench(
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Only these arms, by name or pattern: 'eager K=4', 'compiled*'.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few repeats, and four arms unless --arms names others.")
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Hold ratios against a saved --json; exit 1 where one is over 15% worse.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="CPU threads.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure forward, backward, step and L_K of single models and stacks.

    All arms take about 15 minutes on two CPU cores, most of them compiling. On a CUDA device,
    others are chosen, made ready side by side: graphs of one to hundreds of lanes, in 3 minutes.
    """
    from repro.bench import compare as comparing
    from repro.bench import suite
    from repro.bench.arms import ON_CUDA, QUICK, Workload, cuda_arms, known_arms, quick_arms, select
    from repro.bench.arms import arms as cpu_arms
    from repro.machine.device import here

    saved = comparing.load(compare) if compare else None
    on_cuda = here().type == "cuda"
    chosen = quick_arms(on_cuda) if quick else cuda_arms() if on_cuda else cpu_arms()
    if arms is not None:
        chosen = select(known_arms(), [p.strip() for p in arms.split(",")])
    work = QUICK if quick else ON_CUDA if on_cuda else Workload()
    with _progress(len(chosen)) as starting:
        result = suite.bench(chosen, work, threads, starting)
    comparison = comparing.compare(result, saved) if saved else None
    if as_json:
        print_json(result if comparison is None else {**result, "against": as_dict(comparison)})
    else:
        _print(result, comparison)
    _conclude(result, comparison)


@contextlib.contextmanager
def _progress(arms: int) -> Iterator[Callable[[Arm], None]]:
    """A bar on a terminal, a line an arm elsewhere; on stderr, away from the JSON."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} arms"),
    )
    bar = Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task("", total=arms, completed=-1)

    def starting(arm: Arm) -> None:
        bar.update(task, advance=1, description=arm.name)
        if not console.is_terminal:
            console.print(f"measuring {arm.name}")

    with bar:
        yield starting


def _print(result: dict[str, Any], comparison: Comparison | None) -> None:
    screen().print(as_table(result))
    for entry in result["arms"]:
        if "absent" in entry:
            say(f"{entry['arm']}: absent: {entry['absent']}")
    _print_roofline(result)
    if comparison is None:
        return
    for condition in comparison.conditions:
        say(f"measured under other conditions: {condition}")
    for where, names in (("here", comparison.only_ours), ("in the file", comparison.only_saved)):
        if names:
            say(f"only {where}: {'; '.join(names)}")


def _print_roofline(result: dict[str, Any]) -> None:
    """The formula, and what it is computed from for each arm."""
    counted = [entry for entry in result["arms"] if "roofline" in entry]
    if counted:
        say(result["roofline"])
    for entry in counted:
        r = entry["roofline"]
        say(
            f"  {entry['arm']}: {r['flops']:.4g} FLOP at {r['flop_per_s']:.3g}/s;"
            f" {r['parameters']:,} parameters and {r['activations']:,} activations,"
            f" {r['bytes']:.4g} bytes at {r['bytes_per_s']:.3g}/s;"
            f" bound {1e3 * r['bound_seconds']:.3g} ms, reached {100 * r['fraction']:.0f}%"
        )


def as_table(result: dict[str, Any]) -> Table:
    """One row an operation. Ratios are of times, per lane where against the single model."""
    table = Table(
        title=f"{result['device']}, {result['threads']} threads, torch {result['torch']},"
        f" {result['date']}",
        caption="medians; spread: quartile distance over median. x single: against as many single"
        " models written as usual; x products: against the matrix products alone, in turn;"
        " roofline: share reached of the bound below",
    )
    names = "ms|spread|lane steps/s|images/s|GFLOP/s|x single|x products|roofline|MB|compiled in s"
    for name in ("arm", "operation"):
        table.add_column(name)
    for name in names.split("|"):
        table.add_column(name, justify="right")
    for entry in result["arms"]:
        _add_arm(table, entry)
    return table


def _add_arm(table: Table, entry: dict[str, Any]) -> None:
    if "operations" not in entry:
        return
    compiled = entry["compile_seconds"]
    memory = f"{entry['memory_bytes'] / 1e6:.0f}"
    once = (entry["arm"], memory, f"{compiled:.0f}" if compiled else "")
    for name, o in entry["operations"].items():
        steps = o.get("model_steps_per_s")
        table.add_row(
            once[0],
            name,
            f"{1e3 * o['seconds']:.1f}",
            f"{100 * o['spread']:.0f}%",
            "" if steps is None else f"{steps:.1f}",
            f"{o['images_per_s']:,.0f}",
            f"{o['flop_per_s'] / 1e9:.1f}",
            f"{o['ratio_to_single']:.2f}" if "ratio_to_single" in o else "",
            f"{o['ratio_to_matmul']:.2f}",
            f"{100 * entry['roofline']['fraction']:.0f}%" if on_roofline(entry, name) else "",
            *once[1:],
        )
        once = ("", "", "")
    table.add_section()


def on_roofline(entry: dict[str, Any], operation: str) -> bool:
    """Whether the bound is that of this operation: a training step's."""
    return operation == "step" and "roofline" in entry


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """What `--json --compare` adds."""
    return {
        "changes": [
            {
                "arm": c.arm,
                "operation": c.operation,
                "ratio": c.ratio,
                "ours": c.ours,
                "saved": c.saved,
                "worse": c.worse,
            }
            for c in comparison.changes
        ],
        "only_ours": comparison.only_ours,
        "only_saved": comparison.only_saved,
        "conditions": comparison.conditions,
    }


def _conclude(result: dict[str, Any], comparison: Comparison | None) -> None:
    """Raises Exit: 3 where an arm broke or none is in the file, 1 where a ratio got worse."""
    failed = [entry for entry in result["arms"] if "failed" in entry]
    for entry in failed:
        complain(f"{entry['arm']} failed: {entry['failed']}", MachineError.code)
    if failed:
        raise typer.Exit(MachineError.code)
    if comparison and not comparison.changes:
        why = "no ratio to compare: no arm measured here is in the file: choose its --arms"
        raise typer.Exit(complain(why, NothingError.code))
    for change in comparison.worse if comparison else []:
        complain(f"worse: {change}", FAILED)
    if comparison and comparison.worse:
        raise typer.Exit(FAILED)
