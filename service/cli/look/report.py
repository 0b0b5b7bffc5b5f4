"""`tsuika report MODEL[@VERSION]`: what a version gained and lost, class by class, and what the gate said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.text import Text
from typer import Option

from service.cli.connection import connected, in_options
from service.cli.exits import DONE
from service.cli.names import VersionName, version_of
from service.cli.options import Json
from service.cli.output import plain, print_json, print_table, stdout
from service.cli.verdicts import print_measured
from service.contract.enums import Outcome, Verdict
from service.contract.figures import amount, percent
from service.contract.names import shortened

if TYPE_CHECKING:
    from service.client.kinds.kind import Part, Suspected
    from service.contract.reports import AnyReport
    from service.contract.reports.facts import Cost
    from service.contract.version_resources import Version

BAR = 20
BEFORE = (
    "Before is what the version that was live then answers, after what this one does, both on the same trusted rows, "
    "which neither has learned."
)
BROUGHT = "Classes that it brought are judged on rows of its own that it had not learned."
NAMED = 8
"""Classes that no row judges; more of them are counted."""
SUSPECTS = 10
"""Suspect rows that are listed unless all are asked for."""


def run(
    name: VersionName,
    every: Annotated[bool, Option("--all", help="List all of its rows that look wrong, not ten.")] = False,
    as_json: Json = False,
) -> int:
    """Says what a version, by default the live one, gained and lost, class by class, and what each rule said."""
    named = version_of(name)
    with connected() as client:
        version = client.model(named.model).version(named.version or "live")
    if as_json:
        print_json("report", version.model_dump(mode="json", by_alias=True))
    else:
        _print(stdout(), version, None if every else SUSPECTS)
    return DONE


def _print(console: Console, version: Version, most: int | None) -> None:
    from service.client.kinds import kind_of

    state = Text("live", "green") if version.live else Text("not live", "dim")
    method = (version.method or {}).get("name", "imported")
    parent = "" if version.parent is None else f", learned on version {version.parent}"
    console.print(Text.assemble((f"{version.model}@{version.number}", "bold"), ", ", state, f", by {method}{parent}"))
    report = version.report
    if report is None:
        console.print("It was imported: nothing was measured here.")
        return
    if report.gate.why:
        console.print(plain(_said(_why(version, report), version)))
    print_measured(console, report, live=version.live)
    kind = kind_of(report)
    if rows := " ".join(
        [*([BEFORE] if report.before is not None else []), *([BROUGHT] if kind.brings(report) else [])]
    ):
        console.print(Text(rows, "dim"))
    parts = kind.parts(report)
    if parts or version.classes:
        judged = {part.name for part in parts}
        _parts(console, parts, [name for name in version.classes if name not in judged])
    _rules(console, version, report)
    _batch(console, version, kind.suspected(report), most)
    cost = report.cost
    console.print(Text(f"\nCost: {amount(cost.seconds)} s to learn {cost.rows:,} rows{_work(cost)}.", "dim"))


def _why(version: Version, report: AnyReport) -> str:
    """The gate's sentence. One that went live, or was to wait, says so: what became of the version since is another
    thing."""
    why = report.gate.why
    if version.live == (version.verdict is Verdict.PROMOTED):
        return why
    if version.live and report.gate.outcome is Outcome.PASS:
        return f"Live: version {version.number}. It passed every check and was promoted by hand."
    return f"When it was judged: {report.gate.found if version.live else why}"


def _work(cost: Cost) -> str:
    """The work beside that of training a network anew on all rows; "" where nobody knows."""
    share = cost.share_of_retraining
    if share is None:
        return ""
    much = percent(share) if share < 1 else f"{amount(share)} times"
    return f", {much}{' of' if share < 1 else ''} the arithmetic of training a network on all rows again"


def _parts(console: Console, parts: Sequence[Part], unjudged: Sequence[str]) -> None:
    """A bar a class: how many of its rows that judge are right. unjudged: classes that no row judges."""
    rows: list[list[str | Text]] = []
    for part in parts:
        was = "–" if part.before is None else percent(part.before)
        bar = Text("━" * round(BAR * part.after), "red" if part.after < 0.5 else "cyan")
        rows.append([part.name, was, percent(part.after), bar, f"{part.rows:,}"])
    console.print()
    if rows:
        print_table(console, ["class", "before", "after", "", "rows"], rows, "before after rows")
    if unjudged:
        console.print(plain(f"No row judges these classes yet: {shortened(unjudged, NAMED)}."))


def _said(sentence: str, version: Version) -> str:
    """A sentence of the service with what one types here, which names the model."""
    return in_options(sentence, version.model)


def _rules(console: Console, version: Version, report: AnyReport) -> None:
    """What each rule of the gate said: those that fired first. Of the live version none says how it would be that."""
    console.print()
    words = {True: Text("passed", "green"), None: Text("no evidence", "dim"), False: Text("fired", "red")}
    rules = sorted(report.gate.rules, key=lambda rule: rule.passed is not False)
    rows: list[list[str | Text]] = [
        [
            f"{rule.number:>2} {rule.name}",
            words[rule.passed],
            _said((rule.finding if version.live else rule).why, version),
        ]
        for rule in rules
    ]
    print_table(console, ["rule", "", ""], rows)


def _batch(console: Console, version: Version, suspected: Suspected, most: int | None) -> None:
    """Notes, and rows that look wrong."""
    assert version.report is not None
    for note in [*version.report.notes, *version.report.batch.notes]:
        console.print(plain(f"Note: {_said(note, version)}"))
    if suspected.cells:
        shown = suspected.cells[:most]
        console.print(f"\n{suspected.heading}")
        print_table(console, suspected.columns, shown, suspected.numbers)
        if more := len(suspected.cells) - len(shown):
            console.print(f"{more:,} more: tsuika report {version.model}@{version.number} --all")
