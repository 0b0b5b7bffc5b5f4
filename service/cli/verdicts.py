"""An update's outcome on a terminal: its sentence, what was measured before and after, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from service.cli.connection import url
from service.cli.exits import DONE, ERROR, HELD, REJECTED
from service.cli.output import MARKS, plain, print_json, print_table, stderr, stdout
from service.learning.wording import amount, percent

if TYPE_CHECKING:
    from service.contract.number_report import NumberReport
    from service.contract.report import ClassScore, Report
    from service.contract.resources import Update

CODES = {"promoted": DONE, "held": HELD, "rejected": REJECTED, "superseded": HELD}
"""Exit codes of the verdicts."""
Row = Sequence[str]


def print_update(schema: str, update: Update, as_json: bool) -> int:
    """Prints what became of an update that has ended. -> the exit code"""
    if as_json:
        print_json(schema, update.model_dump(mode="json", by_alias=True))
    elif update.verdict is None:
        said = update.error.detail if update.error else f"{update.id} was {update.state}."
        stderr().print(Text(f"✕ {plain(said)}", style="red"))
    else:
        _print_verdict(update)
    return ERROR if update.verdict is None else CODES[update.verdict]


def sentence_of(update: Update) -> str:
    """Why it came out as it did."""
    return (update.report.gate.why if update.report else "") or update.why or ""


def marked(verdict: str, sentence: str) -> Text:
    """A sentence with the mark of its verdict, whose first words have its colour."""
    mark, colour = MARKS[verdict]
    head, colon, rest = plain(sentence).partition(":")
    return Text.assemble((f"{mark} {head}{colon}", colour), rest)


def measured(report: Report | NumberReport) -> list[Row]:
    """What was measured: a name, before, after, and what to hold of it."""
    from service.contract.report import Report

    return _shares(report) if isinstance(report, Report) else _errors(report)


def figure(report: Report | NumberReport | None) -> str:
    """How good a version was when it was judged, in a figure: the share that was right, or the mean error."""
    from service.contract.report import Report

    if isinstance(report, Report):
        return _share(report.new_classes.after if report.after is None else report.after.accuracy)
    return "–" if report is None or report.after is None else f"± {amount(report.after.mae)}"


def class_scores(report: Report) -> dict[str, ClassScore]:
    """How good a version was at each class, those that it brought among them."""
    return {**(report.after.classes if report.after else {}), **report.new_classes.classes}


def _print_verdict(update: Update) -> None:
    console = stdout()
    assert update.verdict is not None
    console.print(marked(update.verdict, sentence_of(update)))
    if update.report is not None and (rows := measured(update.report)):
        print_table(console, ["", "before", "after", ""], [[f"  {row[0]}", *row[1:]] for row in rows], "before after")
    for line in _notes(update):
        console.print(Text(f"  {plain(line)}", style="dim"))
    name = f"{update.model}@{update.version}"
    ways = [f"Report: tsuika report {name}"]
    if update.verdict == "promoted":
        ways.insert(0, f"Undo: tsuika rollback {update.model}")
    elif update.verdict == "held":
        ways.insert(0, f"Make it live all the same: tsuika promote {name}")
    if update.verdict != "promoted" and update.batches:
        ways.append(f"Take the rows back: tsuika retract {update.model} {update.batches[0]}")
    ways.append(f"Page: {url()}/models/{update.model}")
    console.print(Text("  " + "   ".join(ways), style="dim"))


def _notes(update: Update) -> list[str]:
    report = update.report
    return [] if report is None else [*report.notes, *report.batch.notes]


def _shares(report: Report) -> list[Row]:
    """Accuracy of old and new classes."""
    old, new = report.old_classes, report.new_classes
    rows: list[Row] = []
    if old.after is not None:
        rows.append(
            ["old classes", _share(old.before), _share(old.after), _change(old.before, old.after, old.interval)]
        )
    if new.after is not None:
        rows.append(["new classes", "–", _share(new.after), _between(new.interval)])
    if not rows and report.after is not None:
        before = None if report.before is None else report.before.accuracy
        rows.append(["all classes", _share(before), _share(report.after.accuracy), f"{report.after.rows:,} rows"])
    return rows


def _errors(report: NumberReport) -> list[Row]:
    """The mean error, and what it is measured by."""
    rows: list[Row] = []
    before, after, tested = report.before, report.after, report.tested
    if after is not None:
        rows.append(["mean error", "–" if before is None else amount(before.mae), amount(after.mae), ""])
    if tested is not None:
        skill = "" if report.skill is None else f"skill {percent(report.skill)}"
        rows.append(["on rows to come", "–", amount(tested.mae), skill])
    return rows


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _change(before: float | None, after: float, interval: tuple[float, float] | None) -> str:
    if before is None:
        return ""
    change = f"{100 * (after - before):+.1f}".replace("-", "−")
    chance = interval is not None and interval[0] <= 0 <= interval[1]
    return f"{change}, within chance" if chance else change


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
