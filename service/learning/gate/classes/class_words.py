"""What a verdict's sentence says of classes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from service.contract.figures import percent
from service.contract.reports.class_report import ClassScore, OldClasses, Report
from service.learning.gate.words import VerdictWords
from service.learning.wording import MANY, chance, counted, listed, raised, rows, trusted_rows

NAMED = 3
"""Classes of which few rows are recognised, or that have few, that are named."""
SURE = 0.01
"""From this chance on a loss may be none."""
VISIBLE = 0.02
"""A fall that people see: where chance may explain it, the sentence says so instead of calling it nothing."""


class ClassWords(VerdictWords[Report]):
    def gained(self, report: Report) -> str:
        """Says which classes are new, which are gone, and what became of the old ones."""
        new, gone = report.new_classes, report.old_classes.gone
        known = sorted(new.names if report.before is None else {*new.names} - {*new.barely})
        knows = f"It knows {listed(known)}" if known else ""
        missed = _barely(report) if new.barely else ""
        if report.before is None:
            how = ", cross-validated" if report.exact else " it had not seen"
            if not knows:
                return "There was nothing to compare it with."
            if (most := new.commonest) is not None:
                how += f' (always saying "{most.class_}" is right on {percent(most.accuracy)})'
            how = f", right on {percent(new.after)} of {rows(new.rows)}{how}" if new.after else ""
            how += f"; {_rare(new.rare)}" if new.rare and how else ""
            return f"{knows}{how}{f'; {missed}' if missed else ''}."
        if len(known) > MANY:
            knows = f"It knows {len(known)} new classes"  # a count alone would be taken for all that it knows
        if gone:
            left = f"No row of {listed(gone, quote=True)} is left, so {'it is' if len(gone) == 1 else 'they are'}"
            knows = f"{knows}. {left} answered no more" if knows else f"{left} answered no more"
        kept = f"{_old_classes(report.old_classes, report.before.rows, bool(gone))}{_since(report)}"
        brought = "; ".join(part for part in (knows, missed) if part)
        if missed:
            return f"{raised(brought)}. {raised(kept)}."
        return f"{brought}; {kept}." if brought else f"{raised(kept)}."

    def part(self, report: Report, base: int | None) -> str:
        first = report.batch.parts[0]
        how = f"{percent(first.error)} of its {rows(first.rows)} say something else than version {base}"
        return f"{how}, and {percent(first.others)} of the others"


def barely(weak: Mapping[str, tuple[int, int]], could: int | None) -> str:
    """Says of which new classes fewer than half of the rows are recognised. weak: hits and rows of each · could: hits
    by the exact head of all rows, None where it is that"""
    hits, judged = (sum(of) for of in zip(*weak.values(), strict=True))
    counts = [f"{right:,} of {rows(n)} of {name}" for name, (right, n) in sorted(weak.items())]
    said = listed(counts) if len(counts) <= NAMED else f"{hits:,} of {rows(judged)} of {len(weak)} classes"
    best = "" if could is None else f", where the exact head of all rows recognises {could:,}"
    return f"it recognises {said}{best}: send more rows of {'it' if len(weak) == 1 else 'them'}"


def _rare(scores: Mapping[str, ClassScore]) -> str:
    """Says of how many rows of the rarest classes the answers are right."""
    fewest = list(islice(scores.items(), NAMED))
    said = listed([f"{score.right:,} of {rows(score.rows)} of {name}" for name, score in fewest])
    return f"{said} {'is' if len(fewest) == 1 == fewest[0][1].rows else 'are'} right"


def _barely(report: Report) -> str:
    figures = next((rule.figures for rule in report.gate.rules if rule.name == "new_class_not_learned"), {})
    could = figures.get("could")
    weak = {name: (of.right, of.rows) for name, of in report.new_classes.barely.items()}
    return barely(weak, could if isinstance(could, int) else None)


def _since(report: Report) -> str:
    """Says what was lost since an earlier version, where that adds up to something."""
    of = report.lost_since
    if of is None:
        return ""
    lost = f"{100 * of.lost:.1f} points on {rows(of.rows)}"
    taken, newer = of.lost - max(of.forgotten, 0.0), counted(of.newer, "newer class", "newer classes")
    if of.newer and taken > 0:
        forgotten = f"{100 * of.forgotten:.1f} forgotten and {100 * taken:.1f}" if of.forgotten > 0 else "all"
        lost += f": {forgotten} to {newer}"
    may_be = f"which may be chance ({chance(of.p)})" if of.p >= SURE else chance(of.p)
    return f", but since version {of.version} they have lost {lost}, {may_be}"


def _old_classes(old: OldClasses, trusted: int, some: bool) -> str:
    """Says what became of the old classes, on so many trusted rows; of `some`, where others are gone."""
    name = "the other classes" if some else "the old classes"
    if old.before is None or old.after is None or old.interval is None:
        return f"there are no trusted rows of {name}"
    low, high = old.interval
    numbers = f"{100 * old.before:.1f} → {percent(old.after)} on {trusted_rows(trusted)}"
    if low > 0:
        return f"{name} gained {100 * (old.after - old.before):.1f} points ({numbers})"
    if high >= 0 and old.before - old.after > VISIBLE:
        return f"a loss of {name} cannot be told from chance ({numbers})"
    if high >= 0:
        return f"{name} lost nothing measurable ({numbers}, within chance)"
    masked = old.masked
    forgot_nothing = masked.before is not None and masked.after is not None and masked.after >= masked.before
    where = ", all of it to the new classes" if forgot_nothing and old.intrusion else ""
    return f"{name} lost {100 * (old.before - old.after):.1f} points, which is allowed ({numbers}){where}"
