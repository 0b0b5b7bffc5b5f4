"""What a verdict's sentence says of classes."""

from __future__ import annotations

from service.contract.figures import percent
from service.contract.report import OldClasses, Report
from service.learning.gate.words import VerdictWords
from service.learning.wording import MANY, listed, rows, trusted_rows

VISIBLE = 0.02
"""A fall that people see: where chance may explain it, the sentence says so instead of calling it nothing."""


class ClassWords(VerdictWords[Report]):
    def gained(self, report: Report) -> str:
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

    def part(self, report: Report, base: int | None) -> str:
        first = report.batch.parts[0]
        how = f"{percent(first.error)} of its {rows(first.rows)} say something else than version {base}"
        return f"{how}, and {percent(first.others)} of the others"


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
