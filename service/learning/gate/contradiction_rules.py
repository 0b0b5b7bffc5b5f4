"""Rules 1-4: does the batch contradict what is known, and can that be honest?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from service.contract.enums import Severity
from service.contract.policy import GatePolicy
from service.contract.report import ClassEvidence
from service.learning.gate.measurements import Contradiction, Finding, Measured
from service.learning.statistics import at_least
from service.learning.wording import rows, whole_percent

Counts = Callable[[ClassEvidence, GatePolicy], tuple[int, float]]
"""Of a class conflicts that count, and the share from which they are too many."""

MANY_ROWS = 100
"""Familiar rows from which a batch must itself show as many rows of a class as the rule speaks of."""


FEW_LABELS = 4
"""So many labels that rows of a class carry instead are counted, not named."""
LEAST_OTHERS = 10
"""Strange rows outside their commonest class from which a rule between rows and labels can show."""


def mostly_strange(found: Contradiction, policy: GatePolicy) -> bool:
    """Whether most rows are unlike anything seen: only a head of their own can tell if labels belong to them."""
    return found.strange >= max(policy.unlearnable.min_strange, found.rows)


def strange_can_tell(found: Contradiction, policy: GatePolicy) -> bool:
    """Whether such rows have labels enough to be told apart. Of one class alone, every label is as good as another:
    no head can do better than to say it always, and that is no evidence against it."""
    return mostly_strange(found, policy) and found.strange_others >= LEAST_OTHERS


def needs_learner(found: Contradiction, policy: GatePolicy) -> bool:
    """Whether rule 1 can fire, so that a head of the batch alone must be fitted."""
    rule = policy.unlearnable
    return found.rows >= rule.min_rows and found.labels > 1 and _stands_out(found, rule.min_excess, rule.p)


def needs_reconciliation(found: Contradiction, policy: GatePolicy) -> bool:
    """Whether one of the rules 1-4 can fire, so that a head of old and new rows together must be fitted."""
    return (
        needs_learner(found, policy)
        or _everything(found, policy)
        or _broadly(found, policy)
        or bool(disputed(found, policy))
    )


def reconcilable(found: Contradiction, policy: GatePolicy) -> bool | None:
    """Whether old and new rows can both be right; null where it was not asked.

    Of conflicting rows no more can be asked than the model gets right of any: where half of all trusted rows are
    answered wrongly, half of the honest conflicts stay.
    """
    return _both_right(found, policy, 1 - found.expected)


def shifted(found: Contradiction, policy: GatePolicy) -> bool | None:
    """The same for rules that speak of the whole batch; null where it was not asked.

    Conflicting rows are the hard ones of a hard problem: no more of them can be asked than a head of the batch alone
    gets right. Where that is less than half of what the model gets right of any row, labels are noise, and it is no
    excuse. With swapped labels such a head gets them right, and the joint one does not.
    """
    both, usual = found.reconciliation, 1 - found.expected
    hard = both is not None and usual / 2 <= both.alone < usual
    return _both_right(found, policy, both.alone if both is not None and hard else usual)


def _both_right(found: Contradiction, policy: GatePolicy, possible: float) -> bool | None:
    both, rule = found.reconciliation, policy.reconcilable
    if both is None:
        return None
    return both.fixed >= rule.min_fixed * possible and both.loss <= rule.max_old_loss


def disputed(found: Contradiction, policy: GatePolicy) -> dict[str, ClassEvidence]:
    """Classes that the batch contradicts: those whose conflicts agree with one another, surest first, then those of
    most of whose rows it says anything else."""
    return _disputed(found, policy, _agreeing) | _scattered(found, policy)


def unexcused(found: Contradiction, policy: GatePolicy) -> dict[str, ClassEvidence]:
    """The same but for those that old and new rows can both be right about. Conflicts that scatter may be hard rows of
    another style as well."""
    if reconcilable(found, policy):
        return {}
    return _disputed(found, policy, _agreeing) if shifted(found, policy) else disputed(found, policy)


def _scattered(found: Contradiction, policy: GatePolicy) -> dict[str, ClassEvidence]:
    agreeing = _disputed(found, policy, _agreeing)
    return {c: e for c, e in _disputed(found, policy, _conflicts).items() if c not in agreeing}


def _disputed(found: Contradiction, policy: GatePolicy, counts: Counts) -> dict[str, ClassEvidence]:
    """Surest first: by this batch alone, else with the last ones pooled.

    Pooled counts accuse only a batch that itself shows such a share: honest rows do not answer for earlier ones, and
    two rows out of hundreds are no share.
    """
    rule = policy.contradicts_class
    least = rule.min_rows if found.rows >= MANY_ROWS else 1
    alone = _contradicted(found.classes, policy, counts)
    together = _contradicted({c: e for c, e in found.pooled.items() if c in found.classes}, policy, counts)
    shown = {c for c, e in found.classes.items() if e.confident >= least and _over(e, policy, counts)}
    return alone | {c: e for c, e in together.items() if c not in alone and c in shown}


def _contradicted(classes: Mapping[str, ClassEvidence], policy: GatePolicy, counts: Counts) -> dict[str, ClassEvidence]:
    rule = policy.contradicts_class
    tested = {c: e for c, e in classes.items() if e.confident >= rule.min_rows}
    chance = {c: at_least(counts(e, policy)[0], e.confident, e.expected) for c, e in tested.items()}
    guilty = [c for c, e in tested.items() if _over(e, policy, counts) and chance[c] < rule.p / len(tested)]
    return {c: tested[c] for c in sorted(guilty, key=lambda c: chance[c])}


def _over(evidence: ClassEvidence, policy: GatePolicy, counts: Counts) -> bool:
    conflicts, limit = counts(evidence, policy)
    return conflicts >= limit * evidence.confident > 0


def _agreeing(evidence: ClassEvidence, policy: GatePolicy) -> tuple[int, float]:
    """Conflicts that agree with one another, and from which share they are too many. A class that was renamed has one
    other name; rows of another style that only look like it have many, each the right one."""
    rule = policy.contradicts_class
    return max(evidence.toward.values(), default=0), max(rule.min_share, rule.times_expected * evidence.expected)


def _conflicts(evidence: ClassEvidence, policy: GatePolicy) -> tuple[int, float]:
    """All of them, and from which share they are too many."""
    rule = policy.contradicts_class
    return evidence.conflicts, max(rule.min_scattered, rule.times_expected * evidence.expected)


def _everything(found: Contradiction, policy: GatePolicy) -> bool:
    return _stands_out(found, policy.contradicts_everything.min_excess, policy.contradicts_everything.p)


def _broadly(found: Contradiction, policy: GatePolicy) -> bool:
    return _stands_out(found, policy.disagrees_broadly.min_excess, policy.disagrees_broadly.p)


def _stands_out(found: Contradiction, excess: float, p: float) -> bool:
    return found.excess >= excess and at_least(found.conflicts, found.rows, found.expected) < p


def _of_batch(
    rule: Callable[[Measured, Contradiction, GatePolicy], Finding],
) -> Callable[[Measured, GatePolicy], Finding]:
    """A rule over familiar rows of known classes: silent where there are none."""

    def finding(measured: Measured, policy: GatePolicy) -> Finding:
        found = measured.contradiction
        if found is None:
            return Finding("There are no trusted rows yet to judge the batch by.", evidence=False)
        if not found.rows:
            return Finding("The update has no familiar rows of known classes.", evidence=False)
        return rule(measured, found, policy)

    return finding


def unlearnable(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 1: the labels follow no rule of their own; of familiar rows, they contradict the base as well."""
    found = measured.contradiction
    if found is not None and found.strange_learner and found.strange_learner.p >= policy.unlearnable.learner_p:
        what = f"{rows(found.strange)} are unlike anything seen before, and no rule links them to their labels."
        return Finding(what, fires=Severity.HELD, remedy="Do rows and labels still belong together?")
    finding = _unlearnable(measured, policy)
    if found is None or not mostly_strange(found, policy) or found.strange_learner or finding.fires:
        return finding
    what = f"{rows(found.strange)} are unlike anything seen before and of nearly one class, so nothing can be told of "
    return replace(finding, what=f"{what}their labels.", unproven=True)


@_of_batch
def _unlearnable(measured: Measured, found: Contradiction, policy: GatePolicy) -> Finding:
    """Of familiar rows: the labels contradict the base and follow no rule of their own."""
    limit = policy.unlearnable.min_excess
    if not needs_learner(found, policy):
        return Finding(_counted(measured, found), found.excess, limit)
    if found.learner and found.learner.p < policy.unlearnable.learner_p:
        return Finding(f"{_counted(measured, found)} The labels follow a rule of their own.", found.excess, limit)
    if reconcilable(found, policy):
        return Finding(_shifted(found), found.excess, limit)
    return Finding(
        f"The labels look shuffled. {found.conflicts:,} of {rows(found.rows)} contradict version {measured.live}, "
        f"and no rule links these rows to their labels.{_unlike(found)}",
        found.excess,
        limit,
        _blame(found),
        "Do rows and labels still belong together?",
    )


@_of_batch
def contradicts_everything(measured: Measured, found: Contradiction, policy: GatePolicy) -> Finding:
    """Rule 2: most rows say something else than the base."""
    limit = policy.contradicts_everything.min_excess
    if not _everything(found, policy):
        return Finding(_counted(measured, found), found.excess, limit)
    if shifted(found, policy):
        return Finding(_shifted(found), found.excess, limit)
    share = whole_percent(found.conflicts / found.rows)
    what = (
        f"{share} of the rows say something else than version {measured.live} ({found.conflicts:,} of {found.rows:,})."
    )
    asked = "Were the class names renumbered?" if _blame(found) is Severity.REJECTED else "Did the inputs change?"
    return Finding(f"{what}{_unlike(found)}", found.excess, limit, _blame(found), asked)


@_of_batch
def contradicts_class(measured: Measured, found: Contradiction, policy: GatePolicy) -> Finding:
    """Rule 3: rows that the base is sure of carry another label, in this batch or pooled over the last ones."""
    suspected = disputed(found, policy)
    if not suspected:
        share = {c: _agreeing(e, policy)[0] / max(e.confident, 1) for c, e in found.classes.items()}
        if not share:
            return Finding(f"Version {measured.live} is sure of none of these rows.", evidence=False)
        most = max(share, key=lambda c: share[c])
        what = "No class is contradicted more than chance explains."
        return Finding(what, share[most], _agreeing(found.classes[most], policy)[1])
    guilty = unexcused(found, policy)
    name, evidence = next(iter((guilty or suspected).items()))
    agree = name not in _scattered(found, policy)
    count, limit = (_agreeing if agree else _conflicts)(evidence, policy)
    value = count / evidence.confident
    if not guilty:
        return Finding(_shifted(found), value, limit)
    when = "" if evidence is found.classes.get(name) else " of the last updates"
    labels = [f'"{label}"' for label in sorted(evidence.toward, key=lambda label: -evidence.toward[label])]
    say = labels[0] if agree else " or ".join(labels) if len(labels) < FEW_LABELS else f"{len(labels)} other names"
    what = f'{count:,} of {rows(evidence.confident)}{when} say {say} where version {measured.live} is sure of "{name}".'
    others = len(guilty) - 1
    if others:
        what += f" So it is with {others} other {'class' if others == 1 else 'classes'}."
    remedy = "Either the labels or the model is wrong; only a person can tell."
    return Finding(what, value, limit, Severity.HELD, remedy)


@_of_batch
def _disagrees(measured: Measured, found: Contradiction, policy: GatePolicy) -> Finding:
    """Rule 4: noticeably more conflicts than usual."""
    limit = policy.disagrees_broadly.min_excess
    if not _broadly(found, policy):
        return Finding(_counted(measured, found), found.excess, limit)
    if shifted(found, policy):
        return Finding(_shifted(found), found.excess, limit)
    remedy = "Look at the listed rows, then promote it or retract the batch."
    return Finding(_counted(measured, found), found.excess, limit, Severity.HELD, remedy)


def disagrees_broadly(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 4; where no trusted row tells what is usual, half of the rows are too many."""
    asked, wrong = measured.untested or (0, 0)
    limit = policy.contradicts_everything.min_excess
    if asked < policy.first_version.min_rows or wrong < limit * asked:
        return _disagrees(measured, policy)
    what = (
        f"{wrong:,} of {rows(asked)} say something else than version {measured.live}, and none of the rows it learned "
        "can judge who is right: all of them are of one group."
    )
    remedy = "Send rows of other groups first, or look at these and promote it."
    return Finding(what, wrong / asked, limit, Severity.HELD, remedy)


def _blame(found: Contradiction) -> Severity:
    """Most rows are unlike anything seen: then inputs have shifted, and the few that are not condemn nobody."""
    return Severity.HELD if found.strange > found.rows else Severity.REJECTED


def _unlike(found: Contradiction) -> str:
    return f" {found.strange:,} more are unlike anything seen before." if found.strange > found.rows else ""


def _counted(measured: Measured, found: Contradiction) -> str:
    usual = found.expected * found.rows
    about = f"about {usual:.0f}" if usual >= 0.5 else "none"
    disagree = "disagrees" if found.conflicts == 1 else "disagree"
    return f"{found.conflicts:,} of {rows(found.rows)} {disagree} with version {measured.live}; {about} would be usual."


def _shifted(found: Contradiction) -> str:
    assert found.reconciliation is not None
    return (
        f"Shifted inputs: a head of old and new rows together gets {whole_percent(found.reconciliation.fixed)} of the "
        "disagreeing rows right and keeps the old ones, so both can be true."
    )
