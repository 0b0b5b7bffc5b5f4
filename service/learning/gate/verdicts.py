"""Words the verdict of an update."""

from __future__ import annotations

from service.contract.enums import Outcome, Verdict
from service.contract.number_report import AnyReport, NumberReport
from service.contract.report import OldClasses, Report
from service.learning.gate.number_verdicts import numbers_gained
from service.learning.wording import MANY, listed, lowered, percent, rows, trusted_rows

VISIBLE = 0.02
"""A fall that people see: where chance may explain it, the sentence says so instead of calling it nothing."""
REBASE = (
    "If another version goes live first, have this one learned again on that one (rebase), so that nothing is left out."
)


def verdict_sentence(report: AnyReport, verdict: Verdict | None, version: int | None, base: int | None) -> str:
    """Says why an update ended as it did. `version`: the one it made, `base`: the one it started from."""
    if verdict is None or version is None:
        return "Nothing to do: every batch of this update was already learned."
    if verdict is Verdict.SUPERSEDED:
        return (
            f"Set aside: version {base} stopped being live while this was learning. Learn it again on what is live now."
        )
    if verdict is Verdict.PROMOTED:
        return promoted(report, version)
    why = report.gate.why
    if report.gate.outcome is Outcome.PASS:
        why = f"Ready: version {version} passed every check and waits for you."
    return f"{why} {REBASE}" if verdict is Verdict.HELD else why


def promoted(report: AnyReport, version: int) -> str:
    """Says why a version is live, by the gate or by a caller's order."""
    if report.gate.outcome is not Outcome.PASS:
        return f"Live: version {version}, by order. The gate would have said: {report.gate.why}"
    if report.gate.unproven:
        return f"Live, but unproven: {lowered(report.gate.why)}"
    gained = numbers_gained(report) if isinstance(report, NumberReport) else _gained(report)
    return f"Live: version {version}. {gained}"


def _gained(report: Report) -> str:
    new, old = report.new_classes, report.old_classes
    knows = f"It knows {listed(sorted(new.names))}" if new.names else ""
    if report.before is None:
        how = ", cross-validated" if report.exact else " it had not seen"
        if not knows:
            return "There was nothing to compare it with."
        return f"{knows}, right on {percent(new.after)} of {rows(new.rows)}{how}." if new.after else f"{knows}."
    if len(new.names) > MANY:
        knows = f"It knows {len(new.names)} new classes"  # a count alone would be taken for all that it knows
    kept = _kept(old, report.before.rows)
    return f"{knows}; {kept}." if knows else f"{kept[:1].upper()}{kept[1:]}."


def _kept(old: OldClasses, trusted: int) -> str:
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
