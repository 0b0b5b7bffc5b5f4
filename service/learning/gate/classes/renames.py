"""Rule 12: is a new class an old one by another name?"""

from __future__ import annotations

from collections.abc import Sequence

from service.contract.enums import Severity
from service.contract.policy import GatePolicy
from service.learning.gate.classes.class_measurements import Likeness, Measured
from service.learning.gate.gate import Figure, Finding
from service.learning.statistics import auc_at_most
from service.learning.wording import counted, listed, rows, whole_percent
from service.remedies import DELETE_CLASS, UNKNOWN

MOST_NAMES = 3
"""More classes than this that a new one is taken for are counted."""


def renames(measured: Measured, policy: GatePolicy) -> Finding:
    """Rule 12: rows of a new class are rows of old classes, and nothing but the name tells them apart."""
    rule, new = policy.renames, (*measured.new_classes, *measured.young)
    if not new:
        return Finding("No class is new.")
    compared = _like_old_ones(measured, policy)
    if not compared:
        what = f"Version {measured.live} takes too few rows of new classes for old ones to compare them."
        return Finding(what, limit=rule.min_separation, evidence=any(c.like is not None for c in new))
    alike = [item for item in compared if _is_alike(item[1], policy, len(compared))]
    if not alike:
        names, like = min(compared, key=lambda item: item[1].separation or 0.0)
        apart = whole_percent(like.separation or 0.0)
        what = f"{_taken_for(names, like, measured)}; now {apart} of pairs of an old and a new row can be told apart."
        return Finding(what, like.separation, rule.min_separation, figures=_figures(names, like))
    names, like = max(alike, key=lambda item: item[1].compared)
    what = f"{_taken_for(names, like, measured)}, and nothing tells them from rows of {_called(like)}."
    renamed = [name for names, _ in alike for name in names]
    if len(alike) > 1:
        what += f" So it is with {counted(len(alike) - 1, 'other class', 'other classes')}."
    remedy = _other_name(renamed, [like for _, like in alike], measured)
    figures = _figures(names, like) | {"renamed": renamed}
    figures |= {"others": len(alike) - 1} if len(alike) > 1 else {}
    if earlier := _earlier(renamed, measured):
        figures["earlier"] = earlier
    return Finding(what, like.separation, rule.min_separation, Severity.HELD, remedy, figures=figures)


def _figures(names: Sequence[str], like: Likeness) -> dict[str, Figure]:
    return {"rows": like.rows, "taken": sum(like.mostly.values()), "classes": [*names], "old": [*like.mostly]}


def _earlier(renamed: Sequence[str], measured: Measured) -> list[str]:
    """Those that earlier batches brought, too."""
    return [c.name for c in measured.young if c.name in renamed]


def _is_alike(like: Likeness, policy: GatePolicy, tested: int) -> bool:
    rule, apart = policy.renames, like.separation
    if apart is None or apart >= rule.min_separation:
        return False
    return auc_at_most(apart, like.compared, like.beside, rule.usual_separation) < rule.p / tested


def _like_old_ones(measured: Measured, policy: GatePolicy) -> list[tuple[tuple[str, ...], Likeness]]:
    """Names of new classes whose rows can be compared with old ones. Those of too few rows are taken together, and
    count where the base is as sure of most of their rows as of old ones."""
    rule, compared, few = policy.renames, list[tuple[tuple[str, ...], Likeness]](), list[tuple[str, Likeness]]()
    for c in (*measured.new_classes, *measured.young):
        if c.like is None or c.like.separation is None:
            continue
        least = rule.min_share_of_many if c.like.rows >= rule.many_rows else rule.min_share
        enough = c.like.compared >= rule.min_sure and (c.like.all or c.like.share >= least)
        if c.like.rows >= rule.min_rows and enough:
            compared.append(((c.name,), c.like))
        elif not c.like.all:
            few.append((c.name, c.like))
    if len(few) > 1:
        both = Likeness.together([like for _, like in few])
        if both.compared >= rule.min_sure and both.share >= rule.min_share:
            compared.append((tuple(name for name, _ in few), both))
    return compared


def _called(like: Likeness) -> str:
    """The classes that most of its rows are taken for: "3", or "3", "5" and 2 more."""
    names = [f'"{name}"' for name in like.mostly]
    return listed(names) if len(names) <= MOST_NAMES else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _taken_for(names: Sequence[str], like: Likeness, measured: Measured) -> str:
    """Counts the rows that are taken for one of the classes that are named."""
    new, taken, surely = listed(names, quote=True), sum(like.mostly.values()), "" if like.all else "surely "
    return f"Of {rows(like.rows)} of {new}, {taken:,} are {surely}{_called(like)} for version {measured.live}"


def _other_name(renamed: Sequence[str], alike: Sequence[Likeness], measured: Measured) -> str:
    """Says what to send where they are other names, and where they are not. A name that is left behind stays known, so
    that a slip of the pen would pass for it later."""
    one, earlier = len(renamed) == 1, _earlier(renamed, measured)
    old = "that name" if len({name for like in alike for name in like.mostly}) == 1 else "those names"
    also = f" and the earlier batches that brought {listed(earlier, quote=True)}" if earlier else ""
    calls = ", ".join(DELETE_CLASS(model=UNKNOWN, name=name) for name in renamed[:MOST_NAMES])
    more = "; likewise the others" if len(renamed) > MOST_NAMES else ""
    return (
        f"{'Is it another name' if one else 'Are they other names'}? Then send these rows again under {old}, take this "
        f"batch{also} back, and remove {'the name' if one else 'the names'}, which would stay known "
        f"({calls}{more}). If {'it is a class of its' if one else 'they are classes of their'} own, promote "
        "this version."
    )
