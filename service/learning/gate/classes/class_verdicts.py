"""Words what a version of classes has gained."""

from __future__ import annotations

from service.contract.report import OldClasses, Report
from service.learning.wording import MANY, listed, percent, rows, trusted_rows

VISIBLE = 0.02
"""A fall that people see: where chance may explain it, the sentence says so instead of calling it nothing."""


def classes_gained(report: Report) -> str:
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
