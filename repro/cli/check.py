"""`repro check`: published numbers and claims against records, or one store against another."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from repro.cli.shared import options
from repro.cli.shared.options import AsJson, ProfileToRead, command, flag, given, to_read
from repro.cli.shared.terminal import FAILED, complain, print_json, say, screen
from repro.errors import RecordError
from repro.judge import check as checks
from repro.judge.compare import Comparison, compare
from repro.judge.verdicts import SILENT
from repro.store import open_store


@command(
    "repro check --profile quick",
    "repro check --store results --json",
    "repro check --profile paper --strict",
    "repro check --profile quick --store runs --against results",
)
def check(
    profile: ProfileToRead = None,
    store: options.StoreToRead = None,
    against: Annotated[
        str | None,
        given(
            "Compare Run by Run with this store; exit 1 where one is worse beyond its error.",
            "STORE",
        ),
    ] = None,
    strict: Annotated[
        bool, flag("--strict", "Exit 1 when a number is worse than published, or a claim fails.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hold records against the published numbers and claims."""
    opened, p = to_read(store, profile)
    opened.some_records(p.name)
    report = checks.check(opened, p.name)
    verdicts = {t.verdict for t in report.targets} | {c.verdict for c in report.claims}
    if against is None and not verdicts - SILENT:
        raise RecordError(
            f"nothing to hold against: looked in {opened.folder(p.name)} for the Runs of"
            f" {len(report.targets)} targets and {len(report.claims)} claims:"
            f" `repro list --profile {p.name}` names them"
        )
    failures = checks.strict_failures(report) if strict else []
    content = {**checks.as_json(report), "store": str(opened.root)}
    tables = [checks.as_table(report, opened.name)]
    if against is not None:
        other = open_store(against, p.name)
        if other.root.resolve() == opened.root.resolve():
            raise RecordError(
                f"no Run to compare: --against {against} is the very store that is checked: name"
                " another --store"
            )
        comparison = compare(opened, other, p.name)
        if not comparison.differences:
            why = "; ".join((*comparison.skipped, *_missing(comparison)))
            raise RecordError(
                f"no Run to compare: looked in {opened.folder(p.name)} for those of"
                f" {other.folder(p.name)}: {why}: choose other stores"
            )
        failures += [f"worse than in {against}: {d}" for d in comparison.regressions]
        content["against"] = {
            "store": against,
            "differences": [
                {**asdict(d), "regression": d.regression} for d in comparison.differences
            ],
            "missing": list(comparison.missing),
            "skipped": list(comparison.skipped),
        }
        tables = [_beside(report, checks.check(other, p.name), against), _differences(comparison)]
    if as_json:
        print_json(content)
    else:
        for table in tables:
            screen().print(table)
    for failure in failures:
        complain(failure, FAILED)
    if failures:
        raise typer.Exit(FAILED)
    if not as_json and against is not None:
        say(f"no Run is worse than in {against} beyond its error")


def _missing(comparison: Comparison) -> list[str]:
    return [f"missing here: {', '.join(comparison.missing)}"] if comparison.missing else []


def _beside(report: checks.Report, reference: checks.Report, name: str) -> Table:
    """The verdicts of two stores in one table; what neither has run is only counted."""
    named = Column(Text(name))
    columns = ("target or claim", "published", "here", "verdict", named, "verdict there")
    caption = f"here: {checks.summary(report)}"
    table = Table(*columns, title=f"profile {report.profile}", caption=caption)
    for t, there in zip(report.targets, reference.targets, strict=True):
        if {t.verdict, there.verdict} - SILENT:
            here = (_number(t.target.paper), _number(t.ours), t.verdict)
            checks.add_row(table, t.target.id, *here, _number(there.ours), there.verdict)
    for c, said in zip(report.claims, reference.claims, strict=True):
        if {c.verdict, said.verdict} - SILENT:
            checks.add_row(table, c.claim.id, "", "", c.verdict, "", said.verdict)
    return table


def _differences(comparison: Comparison) -> Table:
    columns = ("Run", "metric", "here", "reference", "difference", "error")
    title = "Run by Run: nats per example, or test error in percent"
    caption = "; ".join((*_missing(comparison), *comparison.skipped)) or None
    table = Table(*columns, title=title, caption=caption)
    for d in comparison.differences:
        verdict = " (worse)" if d.regression else ""
        numbers = (_number(d.ours), _number(d.reference), _number(d.difference) + verdict)
        checks.add_row(table, d.run, d.metric, *numbers, _number(d.error))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
