"""Rules 0 and 5-12: did it learn anything, and what did the old classes lose?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from service.contract.enums import Severity
from service.contract.figures import percent
from service.contract.policy import GatePolicy, SlowLoss
from service.contract.reports.class_report import BARELY
from service.contract.reports.facts import BESIDE_SETTINGS
from service.learning.gate.classes.class_measurements import ALL, Harm, Measured, NewClass, Since
from service.learning.gate.classes.class_words import barely
from service.learning.gate.gate import Back, Figure, Finding, adds_up, silent_without
from service.learning.statistics import SURELY, Narrowed, Paired, holm, outweighs, step_up, wilson
from service.learning.wording import listed, points, raised, rows, too_few, trusted_rows, whole_percent

KEEP_OLD = "Send {rows} along, or use a method that keeps them, such as ridge."
LOOK_AT_LABELS = (
    "The exact head still holds every old row: do the labels of these rows agree with those of the old ones?"
)

COUNT_OLD = (
    "The exact head does not hold every old row in full: rows were deleted, or count less. Send {rows} along, or let "
    "their batches count again."
)
SOFTENED = 0.8
"""Soft edges make a drop smaller: so much of the limit is as much as all of it where rows are counted."""
ONE_GROUP = "All rows are of one group, so none of them can judge what is learned from the others."
IS_MEANT = "Is the right column predicted, and does each row have its own label?"
STUCK = "The training loss did not fall: try another lr, or more epochs."


def _remedy(measured: Measured) -> str:
    """What helps where old rows are answered wrongly."""
    if measured.exact:
        return LOOK_AT_LABELS
    along = "some rows of the old classes" if measured.new_classes else "rows like the older ones"
    return (COUNT_OLD if measured.partial else KEEP_OLD).format(rows=along)


def first_version(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 0: a first version must do better than chance on rows it has not seen."""
    first, rule = measured.first, policy.first_version
    if first is None:
        return Finding("This is not the first version.", limit=rule.p)
    unseen = first.agreement
    if first.classes < 2:
        return Finding("One class alone cannot be judged.", limit=rule.p, evidence=False, unproven=True)
    if unseen.rows < rule.min_rows and first.alone:
        leave = "1 row would leave" if first.alone == 1 else f"{first.alone:,} rows would each leave"
        what = (
            f"Nothing was tested: too few rows of each class. Kept back, {leave} no other of its class to learn from."
        )
        return Finding(what, limit=rule.p, evidence=False, unproven=True, figures={"alone": first.alone})
    if first.one_group:
        return Finding(ONE_GROUP, limit=rule.p, evidence=False, unproven=True)
    if unseen.rows < rule.min_rows:
        what = f"Nothing was tested: {too_few(unseen.rows)}"
        return Finding(what, limit=rule.p, evidence=False, unproven=True, figures={"rows": unseen.rows})
    right = f"Of {rows(unseen.rows)} it had not seen {percent(unseen.right / unseen.rows)} are right"
    dealt = f"the same answers, dealt out by chance, would be on {percent(unseen.chance)}"
    figures: dict[str, Figure] = {
        "rows": unseen.rows,
        "right": unseen.right / unseen.rows,
        "chance": unseen.chance,
        "class": first.commonest,
    }
    _, best = wilson(unseen.right, unseen.rows) or (0.0, 1.0)
    if unseen.p > rule.p and best >= unseen.chance + rule.min_gain * (1 - unseen.chance):
        what = f"{right}, {dealt}: too few rows to judge it."
        return Finding(what, unseen.p, rule.p, evidence=False, unproven=True, figures=figures)
    remedy = STUCK if measured.stuck else IS_MEANT
    if unseen.p > rule.p:
        no_better = f'On {rows(unseen.rows)} it did no better than always saying "{first.commonest}".'
        what = f"The labels cannot be predicted from the inputs. {no_better}"
        return Finding(what, unseen.p, rule.p, Severity.HELD, remedy, figures=figures)
    if best < unseen.chance + rule.least_gain * (1 - unseen.chance):
        what = f"It knows next to nothing. {right}; {dealt}."
        return Finding(what, None, rule.p, Severity.HELD, remedy, figures=figures)
    return Finding(f"{right}; {dealt}.", unseen.p, rule.p, figures=figures)


def _trusted(measured: Measured, policy: GatePolicy) -> Harm | str:
    return measured.harm or "There are no trusted rows yet to compare with."


def moved_on(measured: Measured, policy: GatePolicy) -> bool:
    """Whether, where recent rows alone are trusted, it surely won on the update's own rows, and not surely less than it
    lost on those.

    That is how a world that changes looks. Wrong labels would look the same here; rules 1-4 judge those.
    """
    own, harm = measured.own, measured.harm
    if policy.trusted != "recent" or own is None or harm is None or own.rows < policy.learned_nothing.min_rows:
        return False
    return own.gain > 0 and outweighs(harm.masked, own) >= SURELY


def _won(measured: Measured) -> str:
    assert measured.own is not None
    assert measured.harm is not None
    gain = -measured.own.drop
    chance = "" if gain >= measured.harm.masked.drop else ", within chance"
    return f"On its own {rows(measured.own.rows)} it won as much{chance} ({points(gain)}): it follows the newer rows."


def forgets(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 5: accuracy of old rows over old columns fell. Imported classes may have no row to show it."""
    finding = _forgotten(measured, policy)
    if finding.fires is not None or not measured.foreign:
        return finding
    names = listed(measured.foreign, quote=True)
    came = f"No trusted row shows what {names} lost, which came with an imported version."
    figures = {**finding.figures, "foreign": [*measured.foreign]}
    what = came if measured.harm is None else f"{finding.what} {came}"
    return replace(finding, what=what, unproven=True, figures=figures)


@silent_without(_trusted)
def _forgotten(harm: Harm, measured: Measured, policy: GatePolicy) -> Finding:
    rule, masked = policy.forgets, harm.masked
    limit = rule.max_masked_drop_new if measured.new_classes else rule.max_masked_drop
    most, in_all = policy.intrudes.max_taken, harm.in_all
    if in_all is not None and in_all.drop > most and in_all.p_harm < policy.intrudes.p_taken:
        what = f"Its method or settings answer old rows far worse: of {trusted_rows(harm.rows)} {_newly(in_all, most)}."
        remedy = "Learn these rows by the method of the live version, or promote this one."
        figures = _changed(harm.rows, in_all) | ({} if measured.live is None else {"beside": measured.live})
        return Finding(what, in_all.drop, most, Severity.HELD, remedy, beside_live=True, figures=figures)
    if masked.drop <= limit or masked.p_harm >= rule.p_hold:
        return Finding(f"Of {trusted_rows(harm.rows)} {_newly(masked)}.", masked.drop, limit)
    if moved_on(measured, policy):
        return Finding(f"Of {trusted_rows(harm.rows)} {_newly(masked)}. {_won(measured)}", masked.drop, limit)
    fires = Severity.REJECTED if masked.p_harm < rule.p_reject else Severity.HELD
    forgot = "It forgot" if fires is Severity.REJECTED else "It may have forgotten"
    what = f"{forgot}. Of {trusted_rows(harm.rows)} {_newly(masked, limit)}."
    return Finding(what, masked.drop, limit, fires, _remedy(measured), figures=_changed(harm.rows, masked))


def _changed(judged: int, paired: Paired) -> dict[str, Figure]:
    return {"rows": judged, "worse": paired.worse, "better": paired.better}


def _newly(paired: Paired, limit: float | None = None) -> str:
    """Counts rows that changed, and says how much that is; beside the limit where it is beyond it."""
    allowed = "" if limit is None else f"; {100 * limit:g} are allowed"
    return f"{paired.worse:,} are newly wrong and {paired.better:,} newly right ({points(-paired.drop)}{allowed})"


@silent_without(_trusted)
def intrudes(harm: Harm, measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 6: old rows are answered with a new class, more than the yardstick does."""
    rule = policy.intrudes
    if not measured.new_classes:
        return Finding("No class is new.", 0.0, rule.margin)
    share = harm.intruded / harm.rows
    usual = surely = rule.without_yardstick - rule.margin
    if harm.yardstick_intruded is not None:
        usual = harm.yardstick_intruded / harm.rows
        surely = (harm.yardstick_intruded + 1) / (harm.rows + 2)  # of a dozen rows a single one proves nothing
    lowest, _ = wilson(harm.intruded, harm.rows) or (0.0, 1.0)
    if share > usual + rule.margin and lowest > surely:
        what = f"{whole_percent(share)} of the old rows would now be called {listed(harm.intruders, quote=True)}."
        return Finding(what, share, usual + rule.margin, Severity.REJECTED, _remedy(measured))
    taken = harm.taken if harm.intruders else None  # without one, what was lost is forgotten: rule 5
    if taken is not None and taken.drop > rule.max_taken and taken.p_harm < rule.p_taken:
        own = "is a class of its own" if len(harm.intruders) == 1 else "are classes of their own"
        shown = f"nothing shows that {listed(harm.intruders, quote=True)} {own}"
        beside = f" {BESIDE_SETTINGS}" if measured.resettled else ""
        what = f"Of {trusted_rows(harm.rows)} {_newly(taken, rule.max_taken)}, and {shown}.{beside}"
        remedy = "Send more rows, or other ones: ten of each new class that are like no old one show it."
        figures = _changed(harm.rows, taken) | {"classes": [*harm.intruders]}
        return Finding(what, taken.drop, rule.max_taken, Severity.HELD, remedy, figures=figures)
    return Finding(f"{percent(share)} of the old rows are answered with a new class.", share, usual + rule.margin)


def new_class_not_learned(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 7: rows of a new class are not recognised, out of fold."""
    rule, new = policy.new_class_not_learned, measured.new_classes
    if measured.first is not None or not new:
        return Finding("All classes are judged as a first version." if measured.first else "No class is new.")
    total = NewClass.together(new)
    if total.rows < rule.min_rows:
        return _too_few_to_see(new, total)
    recall = total.hits / total.rows
    limit = None if total.yardstick_hits is None else rule.share_of_yardstick * total.yardstick_hits / total.rows
    lost = [c for c in new if c.rows >= rule.min_rows and not c.hits and not _too_hard(c, policy)]
    if lost or (limit is not None and recall < limit):
        what, figures = _not_learned(lost or new)
        remedy = "Send more rows." if measured.exact else "Send more rows, or use another method, such as ridge."
        return Finding(what, recall, limit, Severity.HELD, remedy, figures=figures)
    return _learned(new, total, limit, measured, policy)


def _too_few_to_see(new: Sequence[NewClass], total: NewClass) -> Finding:
    names = [c.name for c in new]
    what = too_few(total.rows, f" of {listed(names, quote=True)}")
    figures: dict[str, Figure] = {"rows": total.rows, "classes": names}
    if total.rows:
        what += f" It recognises {total.hits} of them."
        figures["hits"] = total.hits
    return Finding(what, evidence=False, unproven=True, figures=figures)


def _not_learned(lost: Sequence[NewClass]) -> tuple[str, dict[str, Figure]]:
    """The sentence that these classes were not learned, and its figures."""
    together, names = NewClass.together(lost), [c.name for c in lost]
    were, their = ("was", "its") if len(names) == 1 else ("were", "their")
    figures: dict[str, Figure] = {"rows": together.rows, "hits": together.hits, "classes": names}
    could = ""
    if together.yardstick_hits:
        could = f", where {together.yardstick_hits:,} could be"
        figures["could"] = together.yardstick_hits
    recognised = f"{together.hits:,} of {together.rows:,} of {their} rows are recognised{could}"
    return f"{listed(names, quote=True)} {were} not learned: {recognised}.", figures


def _learned(
    new: Sequence[NewClass], total: NewClass, limit: float | None, measured: Measured, policy: GatePolicy
) -> Finding:
    """That new classes are recognised; of some there may be too few rows to judge by, or few that are recognised."""
    least = policy.new_class_not_learned.min_rows
    recall = total.hits / total.rows
    what = f"{percent(recall)} of {rows(total.rows)} of new classes are recognised."
    figures: dict[str, Figure] = {"rows": total.rows, "hits": total.hits}
    unjudged = [c for c in new if c.rows < least or not c.hits]
    if unjudged:
        what += f" Too few rows to judge by: {listed([f'{c.name} ({_recognised(c)})' for c in unjudged])}."
        figures["few"] = [c.name for c in unjudged]
    weak = [c for c in new if c.rows >= least and 0 < c.hits < BARELY * c.rows]
    if weak:
        best = None if measured.exact else NewClass.together(weak).yardstick_hits
        if best is not None:
            figures["could"] = best
        what += f" {raised(barely({c.name: (c.hits, c.rows) for c in weak}, best))}."
    return Finding(what, recall, limit, unproven=bool(unjudged), figures=figures)


def _recognised(new: NewClass) -> str:
    return f"{new.hits} of {new.rows}" if new.rows else "none judged"


def _too_hard(new: NewClass, policy: GatePolicy) -> bool:
    """Whether not even the exact head recognises this class yet: it lacks rows, not another method."""
    few = new.rows < 2 * policy.new_class_not_learned.min_rows
    return few and new.yardstick_hits is not None and new.yardstick_hits < 2


@silent_without(_trusted)
def worst_class(harm: Harm, measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 8: one class, the rare ones together, or one source got much worse."""
    rule = policy.worst_class
    if not harm.groups:
        return Finding("No class has enough trusted rows to be judged alone.", limit=rule.max_drop, evidence=False)
    adjusted = holm([g.paired.p_harm for g in harm.groups])
    worse = [g for g, p in zip(harm.groups, adjusted, strict=True) if p < rule.p and g.paired.drop > rule.max_drop]
    worst = max(worse or harm.groups, key=lambda g: g.paired.drop)
    change = f"{100 * worst.before:.0f} → {whole_percent(worst.after)} on {rows(worst.paired.rows)}"
    if not worse and worst.paired.drop <= 0:
        return Finding("No class lost anything.", worst.paired.drop, rule.max_drop)
    if not worse:
        what = f"Nothing stands out; most was lost by {worst.phrase} ({change})."
        return Finding(what, worst.paired.drop, rule.max_drop)
    name = raised(worst.phrase)
    if moved_on(measured, policy):
        return Finding(f"{name} got worse, {change}. {_won(measured)}", worst.paired.drop, rule.max_drop)
    fires = Severity.REJECTED if worst.paired.drop > rule.reject_drop else Severity.HELD
    others = len(worse) - 1
    rest = f" So did {others} more." if others else " The others did not." if len(harm.groups) > 1 else ""
    remedy = f"Send more rows of {worst.phrase}, or look at {'their' if worst.several else 'its'} rows in this batch."
    figures: dict[str, Figure] = {"rows": worst.paired.rows, "before": worst.before, "after": worst.after}
    figures |= {"others": others} if others else {}
    what = f"{name} got worse, {change}.{rest}"
    return Finding(what, worst.paired.drop, rule.max_drop, fires, remedy, figures=figures)


def slow_loss(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 9: small losses add up, against any of the remembered versions, on all shared rows or on those of a class.

    Of the few rows of a class hardly any is lost before much of the class is. Their margins all fall together.
    The rows that two versions share decide: one that has few of them in common hides none that has many. One among
    many versions was lucky on its rows, so alone it proves little (`step_up`). What the live version has lost already
    stops no update: it would stop all.
    """
    rule, tested = policy.slow_loss, measured.since
    if not tested:
        return Finding("There is no earlier version to compare with.", limit=rule.max_drop, evidence=False)
    chances = step_up([s.paired.p_harm for s in tested])
    sure = [s for s, p in zip(tested, chances, strict=True) if p < rule.p]
    lost = [s for s in sure if s.drop() > rule.max_drop and s.adds() and not _followed(s, policy)]
    if lost:
        worst = max(lost, key=lambda s: s.drop())
        of = f"{100 * worst.drop():.1f} points since version {worst.version}, on {rows(worst.paired.rows)}"
        return adds_up(f"{of}{_by_settings(worst)}", worst.drop(), rule.max_drop, _back(worst, Since.drop))
    of_class = [
        (s, name, s.classes[name])
        for s, name, p in _of_classes(tested, lambda s: {name: paired.p_harm for name, paired in s.classes.items()})
        if s.drop(name) > rule.max_class_drop and p < rule.p_class and s.adds(name)
    ]
    if of_class:
        worst, name, paired = max(of_class, key=lambda item: item[0].drop(item[1]))
        drop = worst.drop(name)
        of = f'"{name}" lost {100 * drop:.0f} points since version {worst.version}, on {rows(paired.rows)}'
        return adds_up(
            f"{of}{_by_settings(worst, name)}", drop, rule.max_class_drop, _back(worst, lambda s: s.drop(name))
        )
    if narrowed := _narrowed(tested, rule):
        worst, name, margins = max(narrowed, key=lambda item: item[2].drop)
        newly = f'{margins.paired.worse:,} of {rows(margins.paired.rows)} of "{name}"'
        lead = f"leads the next best one by {whole_percent(margins.after)} of the usual lead, before by"
        fell = f"(in the median the right answer {lead} {whole_percent(margins.before)})"
        of = f"{newly} are newly wrong since version {worst.version}, and all are told apart less clearly {fell}"
        back = _back(worst, lambda s: s.narrowed(name))
        back = replace(back, said=whole_percent(back.lost / margins.drop))  # no sentence says margins in points
        found = adds_up(of, margins.drop, SOFTENED * rule.max_class_drop, back)
        figures: dict[str, Figure] = {"from": worst.version, "classes": [name], "rows": margins.paired.rows}
        figures |= {"newly": margins.paired.worse, "lead_before": margins.before, "lead": margins.after}
        return replace(found, figures={**found.figures, **figures})
    most = max(sure or tested, key=lambda s: (s.drop(), s.paired.rows))
    what = f"{points(-most.drop())} since version {most.version} on {rows(most.paired.rows)}{_by_settings(most)}."
    if most in sure and most.drop() > rule.max_drop and _followed(most, policy):
        what += f" Updates since won as much on their own rows ({points(most.gained)}): they follow the newer rows."
    return Finding(what, most.drop(), rule.max_drop)


def _back(since: Since, measure: Callable[[Since], float]) -> Back:
    """That version, and what the live one has lost since it, by the measure of what the candidate has."""
    lost = 0.0 if since.live is None else measure(since.live)
    return Back(since.version, lost, f"{100 * lost:.1f} points", since.lacks)


def _followed(since: Since, policy: GatePolicy) -> bool:
    """Whether, where recent rows alone are trusted, updates since won on their own rows what those lost."""
    return policy.trusted == "recent" and since.gained >= since.drop()


def _by_settings(since: Since, name: str = ALL) -> str:
    """What the settings explain, which was taken off."""
    lost = since.settings.get(name, 0.0)
    return f", besides {100 * lost:.1f} that settings alone lost" if lost > 0 else ""


def _narrowed(tested: Sequence[Since], rule: SlowLoss) -> list[tuple[Since, str, Narrowed]]:
    """Classes whose margins fell too far since a version, with a row lost on balance, where all rows together won
    none. Other features of the inputs change margins for the better and the worse, and settings those of all."""
    unsettled = [s for s in tested if not s.settings and s.paired.drop >= 0]
    tests = (
        (s, name, s.margins[name], p)
        for s, name, p in _of_classes(unsettled, lambda s: {name: margins.p for name, margins in s.margins.items()})
    )
    least = SOFTENED * rule.max_class_drop
    return [
        (s, name, margins)
        for s, name, margins, p in tests
        if margins.drop > least and margins.paired.drop > 0 and p < rule.p_class and s.narrows(name)
    ]


def _of_classes(
    tested: Sequence[Since], chances: Callable[[Since], Mapping[str, float]]
) -> Iterator[tuple[Since, str, float]]:
    """The chance of each class since each version: Holm over the classes of a version, then over the versions."""
    adjusted = [dict(zip(of, holm([*of.values()]), strict=True)) for of in map(chances, tested)]
    for name in dict.fromkeys(name for of in adjusted for name in of):
        versions = [(s, of[name]) for s, of in zip(tested, adjusted, strict=True) if name in of]
        for (s, _), p in zip(versions, step_up([p for _, p in versions]), strict=True):
            yield s, name, p


def learned_nothing(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 10: on its own rows the new version is worse than the one before. Where that came from elsewhere, these
    rows are all there is to compare by, however few."""
    rule, own = policy.learned_nothing, measured.own
    enough = own is not None and own.rows >= rule.min_rows
    if measured.replaced and not enough:
        few = f"{rows(own.rows) if own else 'no rows'} that both answered are too few to tell whether it is as good"
        what = f"It keeps no weight of version {measured.live}, which came from elsewhere, and {few}."
        remedy = "Send more rows, or use mas or l2_sp, which go on from its weights."
        return Finding(what, None, rule.p, Severity.HELD, remedy)
    if own is None or not own.rows or not (enough or measured.foreign):
        few = f"{rows(own.rows) if own else 'No rows'} of its own that both versions answered: too few to compare."
        return Finding(few, limit=rule.p, evidence=False)
    counts = f"{own.worse:,} of its own {rows(own.rows)} are newly wrong and {own.better:,} newly right"
    if own.worse <= own.better or own.p_harm >= rule.p:
        return Finding(f"{counts}.", own.p_harm, rule.p)
    what = f"Nothing was learned; on its own rows it is no better than version {measured.live} ({counts})."
    return Finding(what, own.p_harm, rule.p, Severity.HELD, "Look at these rows, or try another method.")
