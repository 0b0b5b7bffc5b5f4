"""Words what a version of a number model has gained."""

from __future__ import annotations

from service.contract.number_report import Errors, NumberReport, TestedErrors
from service.learning.wording import MANY, amount, percent, rows, trusted_rows

YARDSTICKS = {
    "mean": "always saying the mean of all targets",
    "last": "always saying the mean of the batch before",
    "column": "saying the column as it stands",
}
"""What a yardstick does, by name."""


def numbers_gained(report: NumberReport) -> str:
    """Says how far off it is on rows that it had not learned, beside what anybody could say, what became of old rows,
    and how many targets are far out."""
    off = _off(report)
    if report.before is None:
        return off
    return f"{off} {_kept(report)}{_far_out(report)}"


def _off(report: NumberReport) -> str:
    if report.tested is not None:
        named = [name for name in YARDSTICKS if name in report.yardsticks]
        several = bool(report.tested.numbers)  # a mean over them has no unit to be compared in
        beside = f" ({YARDSTICKS[named[-1]]} is off by {amount(report.yardsticks[named[-1]].mae)})" if named else ""
        last = "the last batch" if report.tested.batches == 1 else f"the last {report.tested.batches} batches"
        on = f"On {rows(report.tested.rows)} of {last}, as they came,"
        return f"{on} it was off by {_errors(report.tested)}{'' if several else beside}."
    if report.after is not None:
        return f"It is off by {_errors(report.after)} on {rows(report.after.rows)} that it had not seen."
    return "There was nothing to compare it with."


def _errors(of: Errors | TestedErrors) -> str:
    """15.43 -> "15.4"; of several numbers ""salt" 7.6, "heat" 0.02", the first of many."""
    more = f" and {len(of.numbers) - MANY} more" if len(of.numbers) > MANY else ""
    return ", ".join(f'"{n.name}" {amount(n.mae)}' for n in of.numbers[:MANY]) + more or amount(of.mae)


def _kept(report: NumberReport) -> str:
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
    far = len(report.batch.outliers)
    if not far:
        return ""
    return f" Look at `batch.outliers`: {far} of its targets {'is' if far == 1 else 'are'} far out, and learned."
