"""Two versions side by side: how good each was when it was judged, class by class or by the size of the value."""

from __future__ import annotations

from service.contract.figures import amount
from service.contract.resources import Model
from service.contract.resources import Page as Listed
from service.contract.version_resources import Version, VersionSummary
from service.web.charts.changes import changes
from service.web.kinds import kind_of
from service.web.kinds.kind import AnyKind, direction
from service.web.reports.estimates import Pair, Side
from service.web.view import Answer, Route, Shown, View
from service.web.words import Words

CHOICES = 200
"""So many of the latest versions can be chosen; where there are more, numbers are typed."""


def show(view: View) -> Answer:
    """The two versions that were chosen, the older one first; by default the live one and what it was made from."""
    model = view.model()
    kind = kind_of(model.target)
    latest = view.api.get(view.path("versions"), Listed[VersionSummary], limit=CHOICES, batches="false")
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
        "kind": kind,
        **(_compared(before, after, kind, view.words) if before is not None and after is not None else {}),
    }
    of = [version.number for version in (before, after) if version is not None]
    both = {view.words("version.path", version=number): view.path("versions", number) for number in of}
    return Shown("compare.html", facts, json=None if both else view.path("versions"), parts=both)


def _chosen(view: View, model: Model, listed: list[VersionSummary]) -> tuple[Version | None, Version | None]:
    def version(which: str | int | None) -> Version | None:
        return None if which is None else view.api.get(view.path("versions", which), Version)

    newest = listed[0].number if listed else None
    after = version(view.query.get("after") or model.live_version or newest)
    if not view.query.get("before") and after is not None and after.parent is None and len(listed) > 1:
        other = next((v.number for v in listed if v.number != after.number), None)
        return version(other), after
    return version(view.query.get("before") or (after.parent if after is not None else None)), after


def _compared(before: Version, after: Version, kind: AnyKind, words: Words) -> dict[str, object]:
    def own_rows(version: int, side: Side) -> str:
        names = [words("list.quoted", name=name) for name in sorted(side.own)]
        return words(f"compare.own_{kind.name}", version=version, names=names)

    first, second, together = sides(before, after, kind)
    bars, numbers = kind.bars(after.report), (before.number, after.number)
    worse = kind.worse(after.report) if together else None
    paired = pairs(first, second, kind)
    groups = [(of, of.said(words, "compare.one_alone")) for of in paired]
    title = words("compare.chart", before=before.number, after=after.number)
    return {
        "sentence": sentence(first, second, kind, numbers, words, worse)
        if bars.drawn
        else _of_bars(paired, numbers, words),
        "bars": bars,
        "together": together,
        "rows": [own_rows(of.number, side) for of, side in ((before, first), (after, second)) if side.own],
        "groups": groups,
        "chart": changes(groups, kind.tick, kind.ends, title) if bars.drawn else None,
        "only_before": len(set(before.batches) - set(after.batches)),
        "only_after": len(set(after.batches) - set(before.batches)),
        "good": [kind.how_good(version.report, words) for version in (before, after)],
    }


def _of_bars(groups: list[Pair], versions: tuple[int, int], words: Words) -> str:
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


def sides(before: Version, after: Version, kind: AnyKind) -> tuple[Side, Side, bool]:
    """How good each was, and whether that was on the same rows: a report has the version that its own was made from on
    the rows of its own, too."""
    report = after.report
    if report is not None and report.before is not None and after.parent == before.number:
        return kind.side(report.before), kind.side(report.after), True
    first, second = (kind.own_side(of) if of is not None else kind.side(None) for of in (before.report, report))
    return first, second, False


def pairs(first: Side, second: Side, kind: AnyKind) -> list[Pair]:
    """Classes or ranges of both: those that differ most first, those that one alone has last, ranges by value."""
    names = {**second.groups, **first.groups}
    made = [Pair(name, first.groups.get(name), second.groups.get(name), kind.less_is_better) for name in names]
    return sorted(made, key=lambda of: (of.change is None, -abs(of.change or 0.0), of.start, of.name))


def sentence(
    one: Side,
    other: Side,
    kind: AnyKind,
    numbers: tuple[int, int],
    words: Words,
    worse: tuple[float, float] | None = None,
) -> str:
    """Which of the two was better, and whether that may be chance. worse: by how much the other is, row by row; where
    that is not known a share may be chance where the intervals meet."""
    first, second = one.trusted, other.trusted
    if first is None or second is None:
        return words("compare.unknown")
    before, after = numbers
    judged = Pair("", first, second, kind.less_is_better).better
    if judged is None:
        return words("compare.same", before=before, after=after)
    winner, loser = (after, before) if judged else (before, after)
    least, most = sorted((first.value, second.value))
    points = f"{100 * (most - least):.1f}"
    values = {"winner": winner, "loser": loser, "least": amount(least), "most": amount(most), "points": points}
    said, unsaid = words(f"compare.better_{kind.name}", **values), words("compare.unsaid")
    if worse is not None:
        known = {"same": words("compare.unsure"), "better" if judged else "worse": words("compare.sure")}
        return f"{said} {known.get(direction(worse), unsaid)}"
    if not kind.has_intervals:
        return f"{said} {unsaid}"
    ends = (first.low, first.high, second.low, second.high)
    meets = None not in ends and max(first.low or 0, second.low or 0) <= min(first.high or 0, second.high or 0)
    chance = words("compare.chance") if meets else words("compare.no_chance")
    return f"{said} {chance}"


ROUTE = Route("/models/{model}/compare", show)
