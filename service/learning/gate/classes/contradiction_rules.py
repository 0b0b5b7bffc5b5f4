"""Rules 1-4: does the batch contradict what is known, and can that be honest?"""

from __future__ import annotations

from dataclasses import replace

from service.contract.enums import Severity
from service.contract.policy import ContradictsEverything, DisagreesBroadly, GatePolicy, Unlearnable
from service.contract.reports.class_report import ClassEvidence
from service.contract.reports.facts import BY_CHANCE
from service.learning.gate.classes.class_measurements import Contradiction, Measured
from service.learning.gate.classes.contradicted_classes import agreeing, conflicts, contradicted, scattered
from service.learning.gate.classes.relabelling import renamed
from service.learning.gate.gate import Figure, Finding, silent_without
from service.learning.wording import rows, whole_percent
from service.remedies import ROLL_BACK, UNKNOWN

FEW_LABELS = 4
"""The labels that rows of a class carry instead are counted from so many on, not named."""
LEAST_OTHERS = 10
"""Strange rows outside their commonest class from which a rule between rows and labels can show."""
USUAL = 0.01
"""Chance of so many conflicts from which they are no more than usual."""


def mostly_strange(batch: Contradiction, policy: GatePolicy) -> bool:
    """Whether most rows are unlike anything seen, so only a head of their own can tell if labels belong to them."""
    return batch.strange >= max(policy.unlearnable.min_strange, batch.rows)


def strange_can_tell(batch: Contradiction, policy: GatePolicy) -> bool:
    """Whether most rows are strange and their labels are varied enough for a head to be tested on.

    Of rows of one class, no head does better than to answer that class always, which is no evidence against the labels.
    """
    return mostly_strange(batch, policy) and batch.strange_others >= LEAST_OTHERS


def needs_learner(batch: Contradiction, policy: GatePolicy) -> bool:
    """Whether rule 1 can fire, so that a head of the batch alone must be fitted."""
    rule = policy.unlearnable
    return batch.rows >= rule.min_rows and batch.labels > 1 and _stands_out(batch, rule)


def needs_reconciliation(batch: Contradiction, policy: GatePolicy) -> bool:
    """Whether one of the rules 1-4 can fire, so that a head of old and new rows together must be fitted."""
    return (
        needs_learner(batch, policy)
        or _stands_out(batch, policy.contradicts_everything)
        or _stands_out(batch, policy.disagrees_broadly)
        or bool(disputed(batch, policy))
    )


def reconcilable(batch: Contradiction, policy: GatePolicy) -> bool | None:
    """Whether old and new rows can both be right; None where no joint head was fitted.

    A joint head need get no greater a share of conflicting rows right than the model gets of any: where half of all
    trusted rows are answered wrongly, half of the honest conflicts stay.
    """
    return _both_right(batch, policy, 1 - batch.expected)


def shifted(batch: Contradiction, policy: GatePolicy) -> bool | None:
    """Whether old and new rows can both be right, for rules that speak of the whole batch.

    Conflicting rows are the hard ones of a hard problem: a joint head need get no more of them right than a head of the
    batch alone. Where that is less than half of what the model gets right of any row, labels are noise, and it is no
    excuse. With swapped labels the head of the batch alone gets them right, and the joint one does not.
    """
    both, usual = batch.reconciliation, 1 - batch.expected
    hard = both is not None and usual / 2 <= both.alone < usual
    return _both_right(batch, policy, both.alone if both is not None and hard else usual)


def _both_right(batch: Contradiction, policy: GatePolicy, possible: float) -> bool | None:
    both, rule = batch.reconciliation, policy.reconcilable
    if both is None:
        return None
    return both.fixed >= rule.min_fixed * possible and both.loss <= rule.max_old_loss


def disputed(batch: Contradiction, policy: GatePolicy) -> dict[str, ClassEvidence]:
    """Classes that the batch contradicts: first those whose conflicts agree with one another, surest first, then those
    of which most rows carry any other labels."""
    return contradicted(batch, policy, agreeing) | scattered(batch, policy)


def unexcused(batch: Contradiction, policy: GatePolicy) -> dict[str, ClassEvidence]:
    """The disputed classes about which old and new rows cannot both be right. Conflicts that scatter may be hard rows
    of another style as well."""
    if reconcilable(batch, policy):
        return {}
    return contradicted(batch, policy, agreeing) if shifted(batch, policy) else disputed(batch, policy)


def on_purpose(batch: Contradiction | None, policy: GatePolicy) -> bool:
    """Whether labels that change on purpose explain what rules 2-4 find. They do not where most conflicts of a class
    carry no one label, nor where more rows contradict than usual and classes are not only called otherwise."""
    if batch is None:
        return False
    if any(2 * max(e.toward.values(), default=0) <= e.conflicts for e in unexcused(batch, policy).values()):
        return False
    broad = _stands_out(batch, policy.contradicts_everything) or _stands_out(batch, policy.disagrees_broadly)
    return not broad or bool(shifted(batch, policy)) or renamed(batch)


def one_class(batch: Contradiction | None, policy: GatePolicy) -> tuple[str, str, int] | None:
    """As `_alone`, where so many contradict that rule 1 or 2 may fire.

    Where a class is most of a batch, no head of the batch alone tells which of its rows were renamed, as if labels were
    shuffled. But shuffled ones contradict the answers to other classes, too, that of the other name among them.
    """
    if batch is None or not (needs_learner(batch, policy) or _stands_out(batch, policy.contradicts_everything)):
        return None
    return _alone(batch, policy)


def _alone(batch: Contradiction, policy: GatePolicy) -> tuple[str, str, int] | None:
    """The class whose rows under one other name are all that is unusual: its name, the other one, and how many these
    are. None where rules 3 and 4 would not hold them."""
    pairs = {(answer, label): n for answer, of in batch.called.items() for label, n in of.items() if label != answer}
    disputes = unexcused(batch, policy)
    if not pairs or (shifted(batch, policy) and not disputes):
        return None
    answer, label = max(pairs, key=lambda pair: pairs[pair])
    if answer not in disputes and not _stands_out(batch, policy.disagrees_broadly):
        return None
    n, back = pairs[answer, label], batch.called.get(label, {})
    alone = (
        batch.by_chance(batch.conflicts - n, batch.rows) >= USUAL
        and batch.by_chance(sum(back.values()) - back.get(label, 0), sum(back.values())) >= USUAL
    )
    return (answer, label, n) if alone else None


def _stands_out(batch: Contradiction, rule: Unlearnable | ContradictsEverything | DisagreesBroadly) -> bool:
    return batch.excess >= rule.min_excess and batch.by_chance(batch.conflicts, batch.rows) < rule.p


def _passing(
    measured: Measured, batch: Contradiction, rule: ContradictsEverything | DisagreesBroadly, policy: GatePolicy
) -> Finding | None:
    """A finding that passes, where conflicts are no more than the rule allows or come of shifted inputs; else None."""
    if not _stands_out(batch, rule):
        chance = f" On so few rows that may be chance, {BY_CHANCE}" if batch.excess >= rule.min_excess else ""
        return Finding(f"{_counted(measured, batch)}{chance}", batch.excess, rule.min_excess)
    return Finding(_shifted(batch), batch.excess, rule.min_excess) if shifted(batch, policy) else None


def _familiar(measured: Measured, policy: GatePolicy) -> Contradiction | str:
    """The batch, where it has familiar rows of known classes."""
    batch = measured.contradiction
    if batch is None:
        return "There are no trusted rows yet to judge the batch by."
    return batch if batch.rows else "It has no row of a known class that is like those seen before."


def unlearnable(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 1: the labels follow no rule of their own, and those of familiar rows contradict the base."""
    batch = measured.contradiction
    if batch is not None and batch.strange_learner and batch.strange_learner.p >= policy.unlearnable.learner_p:
        what = f"{rows(batch.strange)} are unlike anything seen before, and no rule links them to their labels."
        return Finding(what, fires=Severity.HELD, remedy="Do rows and labels still belong together?")
    finding = _unlearnable(measured, policy)
    if batch is None or not mostly_strange(batch, policy) or batch.strange_learner or finding.fires:
        return finding
    what = f"{rows(batch.strange)} are unlike anything seen before and of nearly one class, so nothing can be told of "
    return replace(finding, what=f"{what}their labels.", unproven=True)


@silent_without(_familiar)
def _unlearnable(batch: Contradiction, measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 1 of familiar rows."""
    limit = policy.unlearnable.min_excess
    if not needs_learner(batch, policy):
        few = f" They are too few, or too alike, to tell whether a rule links them to their labels, {BY_CHANCE}"
        return Finding(f"{_counted(measured, batch)}{few if batch.excess >= limit else ''}", batch.excess, limit)
    if batch.learner and batch.learner.p < policy.unlearnable.learner_p:
        return Finding(
            f"{_counted(measured, batch)} But these rows alone show how their labels follow from inputs.",
            batch.excess,
            limit,
        )
    if reconcilable(batch, policy):
        return Finding(_shifted(batch), batch.excess, limit)
    if of_one := _of_one_class(measured, batch, policy):
        return Finding(of_one, batch.excess, limit)
    return Finding(
        f"The labels look shuffled. {batch.conflicts:,} of {rows(batch.rows)} contradict version {measured.live}, "
        f"and no rule links these rows to their labels.{_unlike(batch)}",
        batch.excess,
        limit,
        _blame(batch),
        "Do rows and labels still belong together?",
    )


@silent_without(_familiar)
def contradicts_everything(batch: Contradiction, measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 2: most rows carry another label than the base gives them."""
    limit = policy.contradicts_everything.min_excess
    if passing := _passing(measured, batch, policy.contradicts_everything, policy):
        return passing
    if of_one := _of_one_class(measured, batch, policy):
        return Finding(of_one, batch.excess, limit)
    share = whole_percent(batch.conflicts / batch.rows)
    what = (
        f"{share} of the rows say something else than version {measured.live} ({batch.conflicts:,} of {batch.rows:,})."
    )
    fires = _blame(batch)
    remedy = "Were the class names renumbered?" if fires is Severity.REJECTED else "Did the inputs change?"
    return Finding(f"{what}{_unlike(batch)}", batch.excess, limit, fires, remedy)


@silent_without(_familiar)
def contradicts_class(batch: Contradiction, measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 3: rows that the base is sure of carry another label, in this batch or pooled over the last ones."""
    suspected = disputed(batch, policy)
    if not suspected:
        return _no_class_contradicted(batch, measured, policy)
    guilty = unexcused(batch, policy)
    name, evidence = next(iter((guilty or suspected).items()))
    agree = name not in scattered(batch, policy)
    count, limit = (agreeing if agree else conflicts)(evidence, policy)
    value = count / evidence.confident
    if not guilty:
        return Finding(_shifted(batch), value, limit)
    lasting = batch.lasting.get(name)
    since = lasting.since if lasting is not None and evidence is lasting.evidence else None
    pooled = since is None and evidence is not batch.classes.get(name)
    when, sure = " of the last updates" if pooled else "", f"version {measured.live} is"
    figures: dict[str, Figure] = {"pooled" if pooled else "rows": evidence.confident, "conflicts": count, "class": name}
    if since is not None:
        when, sure, figures["since"] = f" since version {since}", "the live ones were", since
    labels = sorted(evidence.toward, key=lambda label: -evidence.toward[label])
    if agree:
        named = f'"{labels[0]}"'
        figures["label"] = labels[0]
    elif len(labels) < FEW_LABELS:
        named = " or ".join(f'"{label}"' for label in labels)
        figures["labels"] = labels
    else:
        named = f"{len(labels)} other names"
        figures["labels"] = len(labels)
    what = f'{count:,} of {rows(evidence.confident)}{when} say {named} where {sure} sure of "{name}".'
    others = len(guilty) - 1
    if others:
        what += f" So it is with {others} other {'class' if others == 1 else 'classes'}."
        figures["others"] = others
    remedy = "Either the labels or the model is wrong; only a person can tell."
    if since not in (None, measured.live):
        back = ROLL_BACK(model=UNKNOWN, version=since)
        remedy += f" If the labels are, go back to version {since}: {back}. What was learned since waits then."
    return Finding(what, value, limit, Severity.HELD, remedy, figures=figures)


def _no_class_contradicted(batch: Contradiction, measured: Measured, policy: GatePolicy) -> Finding:
    """That no class is; of the one that is most, how often, where that may be chance."""
    share = {c: agreeing(e, policy)[0] / max(e.confident, 1) for c, e in batch.classes.items()}
    if not share:
        return Finding(f"Version {measured.live} is sure of none of these rows.", evidence=False)
    most = max(share, key=lambda c: share[c])
    evidence, (count, limit) = batch.classes[most], agreeing(batch.classes[most], policy)
    what = "No class is contradicted more than chance explains."
    if share[most] > limit:
        sure = f'Of {rows(evidence.confident)} where version {measured.live} is sure of "{most}", {count:,}'
        what += f" {sure} {'says' if count == 1 else 'say'} otherwise: of so few that may be chance, {BY_CHANCE}"
    return Finding(what, share[most], limit)


@silent_without(_familiar)
def _disagrees(batch: Contradiction, measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 4: noticeably more conflicts than usual."""
    limit = policy.disagrees_broadly.min_excess
    if passing := _passing(measured, batch, policy.disagrees_broadly, policy):
        return passing
    remedy = "Look at the listed rows, then promote it or retract the batch."
    what, figures = _counted(measured, batch), dict[str, Figure]()
    if found := _alone(batch, policy):
        what = f"{what} {_said_of(found)}"
        figures = dict(zip(("class", "label", "alike"), found, strict=True))
    return Finding(what, batch.excess, limit, Severity.HELD, remedy, figures=figures)


def disagrees_broadly(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 4; where no trusted row shows what is usual, half of the rows are too many."""
    known, wrong = measured.untested or (0, 0)
    limit = policy.contradicts_everything.min_excess
    if known < policy.first_version.min_rows or wrong < limit * known:
        return _disagrees(measured, policy)
    what = (
        f"{wrong:,} of {rows(known)} say something else than version {measured.live}, and none of the rows it learned "
        "can judge who is right: all of them are of one group."
    )
    remedy = "Send rows of other groups first, or look at these and promote it."
    return Finding(what, wrong / known, limit, Severity.HELD, remedy)


def _blame(batch: Contradiction) -> Severity:
    """Rejected, or held where most rows are unlike anything seen: inputs have shifted."""
    return Severity.HELD if batch.strange > batch.rows else Severity.REJECTED


def _unlike(batch: Contradiction) -> str:
    return f" {batch.strange:,} more are unlike anything seen before." if batch.strange > batch.rows else ""


def _counted(measured: Measured, batch: Contradiction) -> str:
    usual = batch.expected * batch.rows
    about = f"about {usual:,.0f}" if usual >= 0.5 else "none"
    disagree = "disagrees" if batch.conflicts == 1 else "disagree"
    return f"{batch.conflicts:,} of {rows(batch.rows)} {disagree} with version {measured.live}; {about} would be usual."


def _of_one_class(measured: Measured, batch: Contradiction, policy: GatePolicy) -> str:
    """Says which class alone contradicts; empty where others do, too."""
    found = one_class(batch, policy)
    if found is None:
        return ""
    return f"{_counted(measured, batch)} But {_said_of(found)}"


def _said_of(alone: tuple[str, str, int]) -> str:
    answer, label, n = alone
    return f'{n:,} of them say "{label}" where it answers "{answer}", and the others are no more than usual.'


def _shifted(batch: Contradiction) -> str:
    assert batch.reconciliation is not None
    return (
        f"Shifted inputs: a head of old and new rows together gets {whole_percent(batch.reconciliation.fixed)} of the "
        "disagreeing rows right and keeps the old ones, so both can be true."
    )
