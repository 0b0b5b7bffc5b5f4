"""Rules 0, 5 and 8-10 where targets are numbers: did it learn anything, and do errors on trusted rows stay?"""

from __future__ import annotations

from service.contract.enums import Severity
from service.contract.figures import amount, percent
from service.contract.number_policy import NumberPolicy
from service.contract.reports.facts import MOVE
from service.learning.gate.gate import Back, Figure, Finding, adds_up
from service.learning.gate.numbers.first_batch_rules import MEANT, MOVES
from service.learning.gate.numbers.number_measurements import NumberMeasured, OneNumber, Rise
from service.learning.statistics import SURELY
from service.learning.wording import raised, rows, too_few, trusted_rows, whole_percent

YOUNG = 0.5
"""Rise that is allowed besides, times the batch's part of what is known: a version that has learned little fits just
that, and errors on it rise with any other row. Of ten honest streams three of the first batches had 40, 13 and 6 %."""
LACKING = 0.2
"""Part of a batch that no head has seen which answers its own rows."""
IS_MEANT = "Is the right column predicted, and does each row have its own target?"
NEW_SOURCE = "Is it in their unit? If so, give it a model of its own, or a column that tells sources apart."
FEW_FAR = "A few of its targets are far out: correct these rows, or take them out."
FEW_RIGHT = f"If they are right, and what comes has changed at once, learn it {MOVE}."
UNPAID = (
    "Other settings of its method do that without these rows, too: name those of the live version, such as `alpha`, "
    "and learn them again."
)
OLD_ROWS = "Do these targets agree with those of older rows? If they do, send rows like the older ones along."


def first_version(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 0: a first version must do better than the median of its targets on rows that it has not seen."""
    first, rule = number.first, policy.first_version
    if first is None:
        return Finding("This is not the first version.", limit=rule.p)
    if first.constant and first.rows:
        what = f"All targets{number.of} are {amount(first.median)}, so nothing shows whether they can be predicted."
        return Finding(what, limit=rule.p, evidence=False, unproven=True)
    if first.rows < rule.min_rows:
        return Finding(too_few(first.rows), limit=rule.p, evidence=False, unproven=True, figures={"rows": first.rows})
    off = f"On {rows(first.rows)} it had not seen it is off by {number.error(first.error)}"
    beside = f"always saying their median, {amount(first.median)}, is off by {number.error(first.median_error)}"
    if first.p <= rule.p:
        return Finding(f"{off}; {beside}.", first.p, rule.p)
    if first.p_skill < SURELY:
        what = f"The targets{number.of} cannot be predicted from the inputs. {off}, and {beside}."
        return Finding(what, first.p, rule.p, Severity.HELD, IS_MEANT)
    return Finding(f"{off}, {beside}: too few rows to judge it.", first.p, rule.p, evidence=False, unproven=True)


def _rose(number: OneNumber, change: Rise) -> str:
    return f"{number.error(change.before)} → {number.error(change.after)} on {rows(change.rows)}"


def _by(rise: float) -> str:
    return f"{'−' if rise < 0 else '+'}{percent(abs(rise))}"


def moved_on(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> bool:
    """Whether, where older rows are meant to count less, its own errors surely fell by as much as those rose.

    They are meant to where recent rows alone are trusted, and where the version and the one before have a decay, such
    as a searched one. That is how a changing world looks. Wrong targets look the same here; rules 1-4 judge those.
    Where the batch is like stopped ones before it, or one of the last ones was, old rows are known to say something
    else: then it is enough that its own errors surely fell, on however few rows, unless its targets do not follow its
    rows. Beside a version that is off by now, their mean alone makes errors fall, in whatever order they stand.
    """
    own, harm = number.own, number.harm
    if own is None or not own_fell(number):
        return False
    moved, alone = just_moved(measured, number), number.batch.own if number.batch is not None else None
    if moved and (alone is None or alone.p < SURELY):
        return True
    follows = (policy.trusted == "recent" or measured.fades) and own.rows >= policy.learned_nothing.min_rows
    return (moved or follows) and harm is not None and -own.rise >= harm.rise


def own_fell(number: OneNumber) -> bool:
    """Whether learning them surely brought its own errors down."""
    return number.own is not None and number.own.p_fall < SURELY


def just_moved(measured: NumberMeasured, number: OneNumber) -> bool:
    """Whether this batch or one of the last promoted ones was like stopped ones before it."""
    return measured.moved or (number.batch is not None and number.batch.follows)


def _won(own: Rise | None, as_much: float) -> str:
    """Says that errors on its own rows fell: as much as others rose, or less."""
    if own is None:
        return ""
    fell = "fell as much" if -own.rise >= as_much else "fell"
    return f"On its own {rows(own.rows)} they {fell} ({_by(own.rise)}): it follows the newer rows."


def forgets(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 5: errors on trusted rows rose."""
    rule, harm = policy.forgets, number.harm
    if harm is None:
        return Finding("There are no trusted rows yet to compare with.", limit=rule.max_rise, evidence=False)
    if measured.fades and harm.rows < rule.min_rows:
        return Finding(too_few(harm.rows, " of batches that still count"), limit=rule.max_rise, evidence=False)
    on = f"{number.for_it} on {trusted_rows(harm.rows)}"
    change = f"{number.error(harm.before)} → {number.error(harm.after)}"
    what = f"Errors{on}: {change} ({_by(harm.rise)})."
    limit = _allowed(rule.reject_rise if just_moved(measured, number) else rule.max_rise, measured.part)
    if harm.rise <= limit or harm.p >= rule.p:
        return Finding(what, harm.rise, limit)
    if moved_on(measured, number, policy):
        return Finding(f"{what} {_won(number.own, harm.rise)}", harm.rise, limit)
    fires = Severity.REJECTED if harm.rise > _allowed(rule.reject_rise, measured.part) else Severity.HELD
    begin = "It forgot: errors" if fires is Severity.REJECTED else "It may have forgotten: errors"
    remedy, figures = OLD_ROWS, dict[str, Figure]()
    if own_fell(number) and not just_moved(measured, number):  # said beforehand, it would pass
        remedy, figures = f"{OLD_ROWS} {MEANT}", {**MOVES}
    if measured.unpaid:
        remedy = f"{UNPAID} {remedy}"
    if measured.few_far:
        remedy = f"{FEW_FAR} {FEW_RIGHT}" if figures else FEW_FAR
    elif measured.new_source:
        begin = f'"{measured.new_source}", a source that is new, is unlike the others: errors'
        remedy, figures = NEW_SOURCE, {}
    what = f"{begin}{on} rose, {change} ({_by(harm.rise)}; {whole_percent(limit)} are allowed)."
    return Finding(what, harm.rise, limit, fires, remedy, figures=figures)


def _allowed(limit: float, part: float) -> float:
    """`part`: rows that came since, over those that were known."""
    return limit + YOUNG * min(part, 1.0)


def worst_region(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 8: errors rose in a fifth of the values, or for a source."""
    rule = policy.worst_region
    if not number.regions:
        return Finding("No region has enough trusted rows to be judged alone.", limit=rule.max_rise, evidence=False)
    limit = _allowed(rule.max_rise, measured.part)
    worse = [r for r in number.regions if r.change.rise > limit and r.change.p < rule.p]
    worst = max(worse or number.regions, key=lambda region: region.change.rise)
    rise = worst.change.rise
    change = f"{_rose(number, worst.change)}, {_by(rise)}"
    if not worse:
        what = f"Nothing stands out; the largest rise is that of {worst.phrase} ({change})."
        return Finding(what, rise, rule.max_rise)
    name = raised(worst.phrase)
    if moved_on(measured, number, policy):
        return Finding(f"{name} got worse ({change}). {_won(number.own, rise)}", rise, limit)
    fires = Severity.REJECTED if rise > _allowed(rule.reject_rise, measured.part) else Severity.HELD
    others = len(worse) - 1
    rest = f" So did {others} more regions." if others > 1 else " So did another region." if others else ""
    remedy = f"Look at the batch's {worst.phrase}, or send more of them."
    return Finding(f"{name} got worse: {change}.{rest}", rise, limit, fires, remedy)


def slow_loss(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 9: small losses add up against any of the remembered versions, on the trusted rows that both answered.

    Unless the updates since have gained as much on rows of their own: then the world has moved, and they follow it.
    What nothing explains, such as noise, gains nothing there.
    """
    rule = policy.slow_loss
    if not number.since:
        return Finding("No earlier version answered most of the trusted rows.", limit=rule.max_rise, evidence=False)
    limits = {s.version: _allowed(rule.max_rise, measured.part + s.part) for s in number.since}
    over = [s for s in number.since if s.rise > limits[s.version] and s.change.p < rule.p]
    lost = [
        s
        for s in over
        if s.gained < s.rise and not (just_moved(measured, number) and moved_on(measured, number, policy))
    ]
    most = max(lost or over or number.since, key=lambda since: (since.change.p < rule.p, since.rise))
    limit = limits[most.version]
    change = f"{_by(most.change.rise)} since version {most.version} ({_rose(number, most.change)})"
    if most.settings > 0:
        counts = f"{_by(most.rise)} beside what these would give, which is what counts"
        change = f"{change}, of which {_by(most.settings)} by other settings alone; {counts}"
    if not lost:
        won = "won as much" if most.gained >= most.rise else "won"
        followed = f" Updates since {won} on their own rows ({_by(-most.gained)}): they follow the newer rows."
        return Finding(f"Errors changed by {change}.{followed if over else ''}", most.rise, limit)
    return adds_up(change, most.rise, limit, Back(most.version, most.live, _by(most.live)))


def learned_nothing(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 10: on its own rows the new version is worse than the one before, out of fold.

    More is allowed while the batch is a large part of what is known: each head that answers them lacks a fifth of it.
    With a decay the batch is most of what that head knows, and all of its part counts.
    """
    rule, own = policy.learned_nothing, number.own
    if own is None or own.rows < rule.min_rows:
        few = f"{rows(own.rows) if own else 'No rows'} of its own that both versions answered: too few to compare."
        return Finding(few, limit=rule.max_rise, evidence=False)
    change = f"{_rose(number, own)} of its own ({_by(own.rise)})"
    limit = _allowed(rule.max_rise, measured.part if measured.fades else LACKING * measured.part)
    if own.rise <= limit or own.p >= rule.p:
        return Finding(f"Errors: {change}.", own.rise, limit)
    what = f"Nothing was learned: errors {change}; version {measured.live} answers them better."
    return Finding(what, own.rise, limit, Severity.HELD, "Look at these rows, or try another method.")
