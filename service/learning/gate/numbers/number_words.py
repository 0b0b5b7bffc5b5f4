"""What a verdict's sentence says of numbers."""

from __future__ import annotations

from service.contract.enums import Verdict
from service.contract.figures import amount, percent, row_number
from service.contract.reports.number_report import MOST_OUTLIERS, Errors, NumberReport, TestedErrors
from service.learning.gate.words import VerdictWords
from service.learning.wording import MANY, rows, trusted_rows
from service.remedies import CORRECT, UNKNOWN

NAMED_ROWS = 3
"""Rows that sentences name."""
YARDSTICKS = {
    "mean": "always saying the mean of all targets",
    "last": "always saying the mean of the batch before",
    "column": "taking the value of one column, its yardstick, as the answer",
}
"""What a yardstick does, by name."""


class NumberWords(VerdictWords[NumberReport]):
    def gained(self, report: NumberReport) -> str:
        """Says how far off it is on rows that it had not learned, beside what anybody could say, what became of old
        rows, and how many targets are far out."""
        off = _off(report)
        kept = "" if report.before is None else f" {_errors_on_old_rows(report)}"
        return f"{off}{kept}{_far_out(report)}"

    def part(self, report: NumberReport, base: int | None) -> str:
        first = report.batch.parts[0]
        if report.after is not None and report.after.numbers:  # a mean over several numbers has no unit
            return f"version {base} is far more off at its {rows(first.rows)} than at the others"
        how = f"version {base} is off by {amount(first.error)} at its {rows(first.rows)}"
        return f"{how}, and by {amount(first.others)} at the others"

    def far_rows(self, report: NumberReport, verdict: Verdict) -> str:
        """Says, too, that what was rejected for few rows waits all the same."""
        if not report.few_far_out:
            return ""
        batches = sorted({row.batch for row in report.batch.far_rows})
        waits, it = ("These batches wait, and are", "them") if len(batches) > 1 else ("The batch waits, and is", "it")
        one = "this row, take it" if len(report.batch.far_rows) == 1 else "these rows, take them"
        where = CORRECT(model=UNKNOWN, batch=batches[0])
        how = f" {waits} learned with all that waits: correct {one} out ({where}), or take {it} back."
        return f" {_rows_far_out(report)}{how if verdict is Verdict.REJECTED else ''}"


def _rows_far_out(report: NumberReport) -> str:
    """Names rows of targets that are far out, the farthest first, and counts the others."""
    far = report.batch.far_rows
    several, named = bool(report.batch.parts) or len({row.batch for row in far}) > 1, list[str]()
    for row in far[:NAMED_ROWS]:
        of, number = f" of {row.batch}" if several else "", f' for "{row.name}"' if row.name else ""
        which = row.row if named else row_number(row.row)
        named.append(f"row {which}{of} says {amount(row.target)}{number} where {amount(row.value)} was expected")
    more = len(far) - NAMED_ROWS
    others = f"; {more:,} more {'is' if more == 1 else 'are'} far out" if more > 0 else ""
    return f"R{', '.join(named)[1:]}{others}."


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
    are, least = "is" if far == 1 else "are", "At least " if len(report.batch.outliers) == MOST_OUTLIERS else ""
    what = f"{least}{far} of its targets {are} far from what was expected, and learned all the same."
    return f" {what} {_rows_far_out(report)}"
