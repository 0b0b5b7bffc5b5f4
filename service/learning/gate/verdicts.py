"""Words the verdict of an update, and what the version gained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.contract.enums import Outcome, Verdict
from service.contract.figures import amount, percent
from service.contract.number_report import AnyReport, Errors, NumberReport, TestedErrors, few_far_out, nothing_left
from service.contract.report import OldClasses, Report
from service.learning.wording import MANY, listed, lowered, rows, trusted_rows

REBASE = (
    "If another version goes live first, rebase this one: it is learned again on that one, and nothing is left out."
)
NAMED_ROWS = 3
"""Rows that sentences name."""
VISIBLE = 0.02
"""A fall that people see: where chance may explain it, the sentence says so instead of calling it nothing."""
YARDSTICKS = {
    "mean": "always saying the mean of all targets",
    "last": "always saying the mean of the batch before",
    "column": "answering with the yardstick's column itself",
}
"""What a yardstick does, by name."""


def verdict_sentence(
    report: AnyReport, verdict: Verdict | None, version: int | None, base: int | None, live: int | None = None
) -> str:
    """Says why an update ended as it did. `version`: the one it made, `base`: the one it started from, `live`: the one
    that was live at its end."""
    if verdict is None or version is None:
        return "Nothing to do: every batch of this update was already learned."
    if verdict is Verdict.SUPERSEDED:
        on = "what is live now" if live is None else f"version {live}"
        return f"Set aside: version {base} stopped being live while this was learning. Learn it again on {on}."
    if verdict is Verdict.PROMOTED:
        return promoted(report, version)
    why = f"{report.gate.why}{_where(report, verdict, base)}"
    if report.gate.outcome is Outcome.PASS:
        why = f"Ready: version {version} passed every check and waits for you."
    return f"{why} {REBASE}" if verdict is Verdict.HELD else why


def _where(report: AnyReport, verdict: Verdict, base: int | None) -> str:
    """Names the rows, where they are few, and the batch of several by which an update may have been stopped; and says
    that what was rejected for few rows waits all the same."""
    parts = report.batch.parts
    said = ""
    if isinstance(report, NumberReport) and few_far_out(report):
        several = len({row.batch for row in report.batch.far_rows}) > 1
        waits, it = ("These batches wait, and are", "them") if several else ("The batch waits, and is", "it")
        how = f" {waits} learned with all that waits: take {it} back once you have sent the rows mended."
        said = f" {rows_far_out(report)}{how if verdict is Verdict.REJECTED else ''}"
    if not parts:
        return said
    first, more = parts[0], sum(part.stands_out for part in parts) - 1
    if not first.stands_out:
        return f"{said} Its batches were judged together: learned one by one, a good one does not wait for a bad one."
    if isinstance(report, Report):
        how = f"{percent(first.error)} of its {rows(first.rows)} say something else than version {base}, and "
        how += f"{percent(first.others)} of the others"
    elif report.after is not None and report.after.numbers:  # a mean over several numbers has no unit
        how = f"version {base} is far more off at its {rows(first.rows)} than at the others"
    else:
        how = f"version {base} is off by {amount(first.error)} at its {rows(first.rows)}, and by "
        how += f"{amount(first.others)} at the others"
    too = f" So do {more} others." if more > 1 else " So does another." if more else ""
    it = "them" if more else "it"
    return (
        f"{said} Of its batches {first.batch} stands out: {how}.{too} Learn the others without {it}, or take {it} back."
    )


def rows_far_out(report: NumberReport) -> str:
    """Names rows of targets that are far out, the farthest first, and counts the others."""
    far = report.batch.far_rows
    several, named = bool(report.batch.parts) or len({row.batch for row in far}) > 1, list[str]()
    for row in far[:NAMED_ROWS]:
        of, number = f" of {row.batch}" if several else "", f' for "{row.name}"' if row.name else ""
        named.append(
            f"row {row.row + 1:,}{of} says {amount(row.target)}{number} where {amount(row.value)} was expected"
        )
    more = f"; {len(far) - NAMED_ROWS:,} more are far out" if len(far) > NAMED_ROWS else ""
    return f"R{', '.join(named)[1:]}{more}."


def promoted(report: AnyReport, version: int) -> str:
    """Says why a version is live, by the gate or by a caller's order."""
    if nothing_left(report):
        return f"Live: version {version}. Nothing that was learned is left, so it answers nothing until rows come."
    if report.gate.outcome is not Outcome.PASS:
        return f"Live: version {version}, by order. The gate would have said: {report.gate.why}"
    if report.gate.unproven:
        return f"Live, but unproven: {lowered(report.gate.why)}"
    return f"Live: version {version}. {GAINED[type(report)](report)}"


def classes_gained(report: Report) -> str:
    """Says which classes are new, and what became of the old ones."""
    new, old = report.new_classes, report.old_classes
    knows = f"It knows {listed(sorted(new.names))}" if new.names else ""
    if report.before is None:
        how = ", cross-validated" if report.exact else " it had not seen"
        if not knows:
            return "There was nothing to compare it with."
        if new.commonest is not None:
            how += f' (always saying "{new.commonest.class_}" is right on {percent(new.commonest.accuracy)})'
        return f"{knows}, right on {percent(new.after)} of {rows(new.rows)}{how}." if new.after else f"{knows}."
    if len(new.names) > MANY:
        knows = f"It knows {len(new.names)} new classes"  # a count alone would be taken for all that it knows
    kept = _old_classes(old, report.before.rows)
    return f"{knows}; {kept}." if knows else f"{kept[:1].upper()}{kept[1:]}."


def _old_classes(old: OldClasses, trusted: int) -> str:
    """Says what became of the old classes, on so many trusted rows."""
    if old.before is None or old.after is None or old.interval is None:
        return "there are no trusted rows of the old classes"
    low, high = old.interval
    numbers = f"{100 * old.before:.1f} → {percent(old.after)} on {trusted_rows(trusted)}"
    if low > 0:
        return f"the old classes gained {100 * (old.after - old.before):.1f} points ({numbers})"
    if high >= 0 and old.before - old.after > VISIBLE:
        return f"a loss of the old classes cannot be told from chance ({numbers})"
    if high >= 0:
        return f"the old classes lost nothing measurable ({numbers}, within chance)"
    masked = old.masked
    forgot_nothing = masked.before is not None and masked.after is not None and masked.after >= masked.before
    where = ", all of it to the new classes" if forgot_nothing and old.intrusion else ""
    return f"the old classes lost {100 * (old.before - old.after):.1f} points, which is allowed ({numbers}){where}"


def numbers_gained(report: NumberReport) -> str:
    """Says how far off it is on rows that it had not learned, beside what anybody could say, what became of old rows,
    and how many targets are far out."""
    off = _off(report)
    kept = "" if report.before is None else f" {_errors_on_old_rows(report)}"
    return f"{off}{kept}{_far_out(report)}"


def _off(report: NumberReport) -> str:
    beside = ""
    if report.beside is not None:
        name, error = report.beside
        beside = f" ({YARDSTICKS[name]} is off by {amount(error)})"
    if report.tested is not None:
        last = "the last batch" if report.tested.batches == 1 else f"the last {report.tested.batches} batches"
        on = f"On {rows(report.tested.rows)} of {last}, as they came,"
        return f"{on} it was off by {_errors(report.tested)}{beside}."
    if report.after is not None:
        return f"It is off by {_errors(report.after)} on {rows(report.after.rows)} that it had not seen{beside}."
    return "There was nothing to compare it with."


def _errors(of: Errors | TestedErrors) -> str:
    """15.43 -> "15.4"; of several numbers ""salt" 7.6, "heat" 0.02", the first of many."""
    more = f" and {len(of.numbers) - MANY} more" if len(of.numbers) > MANY else ""
    return ", ".join(f'"{n.name}" {amount(n.mae)}' for n in of.numbers[:MANY]) + more or amount(of.mae)


def _errors_on_old_rows(report: NumberReport) -> str:
    if report.rise is None or report.before is None or report.after is None:
        return "There are no trusted rows of before."
    change = f"on {trusted_rows(report.before.rows)}"
    if not report.after.numbers:
        change = f"{amount(report.before.mae)} → {amount(report.after.mae)} {change}"
    if report.rise_interval is not None and report.rise_interval[0] > 0:
        rose = f"by {percent(report.rise)}" if report.rise < 1 else f"to {amount(1 + report.rise)} times what they were"
        limit = next((rule.limit for rule in report.gate.rules if rule.name == "forgets"), None)
        allowed = ", which is allowed" if limit is not None and report.rise <= limit else ""
        return f"Errors on old rows rose {rose}{allowed} ({change})."
    if report.rise_interval is not None and report.rise_interval[1] < 0:
        return f"Errors on old rows fell by {-100 * report.rise:.1f} % ({change})."
    return f"Old rows lost nothing measurable ({change}, within chance)."


def _far_out(report: NumberReport) -> str:
    far = len(report.batch.far_rows)
    if not far:
        return ""
    are = "is" if far == 1 else "are"
    return f" {far} of its targets {are} far from what was expected, and learned all the same. {rows_far_out(report)}"


GAINED: Mapping[type[AnyReport], Callable[[Any], str]] = {Report: classes_gained, NumberReport: numbers_gained}
"""Say what a version gained, and what became of what it knew; by the report of each kind of target."""
