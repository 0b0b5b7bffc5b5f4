"""Two versions side by side: how good each was when it was judged, class by class or by the size of the value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from service.contract.figures import amount
from service.contract.number_report import AnyReport, Errors, NumberReport
from service.contract.report import Report, Score
from service.contract.resources import Model, Version
from service.contract.resources import Page as Listed
from service.web import estimates
from service.web.charts.changes import changes
from service.web.estimates import Estimate, Pair, brought, by_class, name_of, of_number, of_region, share
from service.web.view import Answer, Route, Shown, View
from service.web.words import Words, percent, round_percent

CHOICES = 200
"""So many of the latest versions can be chosen; where there are more, numbers are typed."""


@dataclass(frozen=True)
class Side:
    """How good a version was. `trusted`: on trusted rows; None: it was not judged on any. `own`: those of the groups
    that were judged on rows of its own batch."""

    trusted: Estimate | None
    groups: Mapping[str, Estimate]
    own: Collection[str] = ()

    @classmethod
    def of(cls, report: AnyReport | None) -> Side:
        """What a report says of its version, with the classes that it brought, on rows that it had not learned."""
        side = cls.of_score(report.after if report is not None else None)
        if estimates.of_own(report):
            return cls(None, side.groups, side.groups)
        if not isinstance(report, Report):
            return side
        new = {name: estimate for name, estimate in brought(report).items() if name not in side.groups}
        return cls(side.trusted, {**new, **side.groups}, new)

    @classmethod
    def of_score(cls, score: Score | Errors | None) -> Side:
        """The same of what was measured on trusted rows."""
        if score is None or not score.rows:
            return cls(None, {})
        if isinstance(score, Score):
            return cls(share(score.accuracy, score.rows), by_class(score))
        errors = {name_of(region): of_region(region) for region in score.regions}
        errors |= {of.name: of_number(of, score.rows) for of in score.numbers}
        return cls(Estimate(score.mae, None, None, score.rows), errors)


def show(view: View) -> Answer:
    """The two versions that were chosen, the older one first; by default the live one and what it was made from."""
    model = view.model()
    latest = view.api.get(view.path("versions"), Listed[Version], limit=CHOICES)
    listed = latest.items
    before, after = _chosen(view, model, listed)
    if before is not None and after is not None and before.number > after.number:
        before, after = after, before
    facts = {
        "model": model,
        "choices": [version.number for version in listed],
        "typed": latest.next_cursor is not None,
        "before": before,
        "after": after,
        "numbers": not model.target.has_classes,
        **(_compared(before, after, view.words) if before is not None and after is not None else {}),
    }
    of = [version.number for version in (before, after) if version is not None]
    both = {view.words("version.path", version=number): view.path("versions", number) for number in of}
    return Shown("compare.html", facts, json=None if both else view.path("versions"), parts=both)


def _chosen(view: View, model: Model, listed: list[Version]) -> tuple[Version | None, Version | None]:
    def version(which: str | int | None) -> Version | None:
        return None if which is None else view.api.get(view.path("versions", which), Version)

    newest = listed[0].number if listed else None
    after = version(view.query.get("after") or model.live_version or newest)
    if not view.query.get("before") and after is not None and after.parent is None and len(listed) > 1:
        other = next((v.number for v in listed if v.number != after.number), None)
        return version(other), after
    return version(view.query.get("before") or (after.parent if after is not None else None)), after


def _compared(before: Version, after: Version, words: Words) -> dict[str, object]:
    of_errors = isinstance(after.report, NumberReport)
    first, second, together = sides(before, after)
    several = isinstance(after.report, NumberReport) and after.report.after is not None and after.report.after.numbers
    paired = pairs(first, second, of_errors)
    groups = [(of, of.said(words, "compare.one_alone")) for of in paired]
    title = words("compare.chart", before=before.number, after=after.number)
    shows, ends = (amount, (0.0, 0.0)) if of_errors else (round_percent, (0.9, 1.0))
    return {
        "sentence": _of_several(paired, (before.number, after.number), words)
        if several
        else sentence(first, second, of_errors, (before.number, after.number), words),
        "several": bool(several),
        "together": together,
        "rows": [_own_rows(version, side, words) for version, side in ((before, first), (after, second)) if side.own],
        "groups": groups,
        "chart": None if several else changes(groups, shows, ends, title),
        "only_before": len(set(before.batches) - set(after.batches)),
        "only_after": len(set(after.batches) - set(before.batches)),
        "show": amount if of_errors else percent,
        "good": [estimates.how_good(version.report, words) for version in (before, after)],
    }


def _of_several(groups: list[Pair], versions: tuple[int, int], words: Words) -> str:
    """At how many of the numbers of a row each version is better: a mean over them has no unit."""
    better = [of.better for of in groups]
    before, after = versions
    return words(
        "compare.several",
        n=len(better),
        before=before,
        after=after,
        one=better.count(False),
        other=sum(b is True for b in better),
    )


def _own_rows(version: Version, side: Side, words: Words) -> str:
    """Which of the figures of a version are of rows of its own."""
    if isinstance(version.report, NumberReport):
        return words("compare.own_first", version=version.number)
    return words(
        "compare.own_rows", version=version.number, names=[words("list.quoted", name=name) for name in sorted(side.own)]
    )


def sides(before: Version, after: Version) -> tuple[Side, Side, bool]:
    """How good each was, and whether that was on the same rows: a report has the version that its own was made from on
    the rows of its own, too."""
    first, second = Side.of(before.report), Side.of(after.report)
    report = after.report
    if report is not None and report.before is not None and after.parent == before.number:
        return Side.of_score(report.before), Side.of_score(report.after), True
    return first, second, False


def pairs(first: Side, second: Side, of_errors: bool) -> list[Pair]:
    """Classes or ranges of both: those that differ most first, those that one alone has last, ranges by value."""
    names = {**second.groups, **first.groups}
    made = [Pair(name, first.groups.get(name), second.groups.get(name), of_errors) for name in names]
    return sorted(made, key=lambda of: (of.change is None, -abs(of.change or 0.0), of.start, of.name))


def sentence(one: Side, other: Side, of_errors: bool, numbers: tuple[int, int], words: Words) -> str:
    """Which of the two was better, and whether that may be chance: a share is, where the intervals meet."""
    first, second = one.trusted, other.trusted
    if first is None or second is None:
        return words("compare.unknown")
    before, after = numbers
    judged = Pair("", first, second, of_errors).better
    if judged is None:
        return words("compare.same", before=before, after=after)
    winner, loser = (after, before) if judged else (before, after)
    size = abs(second.value - first.value)
    if of_errors:
        return words("compare.less_error", winner=winner, loser=loser, size=amount(size))
    said = words("compare.more_right", winner=winner, loser=loser, points=f"{100 * size:.1f}")
    ends = (first.low, first.high, second.low, second.high)
    meets = None not in ends and max(first.low or 0, second.low or 0) <= min(first.high or 0, second.high or 0)
    chance = words("compare.chance") if meets else words("compare.no_chance")
    return f"{said} {chance}"


ROUTE = Route("/models/{model}/compare", show)
