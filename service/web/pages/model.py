"""One model: what is live and how good, what waits for you, how it went, and its versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.contract.enums import DeploymentKind, DisputeState, Promotion, UpdateState, Verdict
from service.contract.reports import forgotten
from service.contract.resources import ModelDispute, Update
from service.contract.resources import Page as Listed
from service.contract.version_resources import Deployment, Lineage, Version, VersionSummary, WayBack
from service.web.charts.history import History, Mark, Step, history
from service.web.kinds import kind_of
from service.web.kinds.kind import AnyKind
from service.web.pages.data.batches import unstopped
from service.web.pages.models import held_now, overtaken
from service.web.pages.versions.promote import learned_by, taken_back
from service.web.reports.reasons import verdict_sentence
from service.web.reports.verdicts import COLOURS, short
from service.web.view import Answer, Moved, Route, Shown, View, asks_again
from service.web.words import Words

VERSIONS = 50
"""So many are shown at once, the latest first."""
UPDATES, DEPLOYMENTS = 10, 20
NAMELESS = {"batches": "false"}
"""Of listed versions the names of what they learned are not asked for: they may be thousands."""
UNSETTLED = (UpdateState.QUEUED, UpdateState.RUNNING)


@dataclass(frozen=True)
class Line:
    """A version in the table. `short`: what became of it, in a few words; `why`: in a sentence; `cells`: how good it
    is."""

    version: VersionSummary
    verdict: Verdict | None
    went_live: bool
    short: str
    why: str
    cells: Sequence[str]
    lost: str

    @property
    def colour(self) -> str:
        return COLOURS[self.verdict] if self.verdict is not None else ""


def show(view: View) -> Answer:
    """The page of a model; what the key may not read is left out."""
    model, words = view.model(), view.words
    kind = kind_of(model.target)
    cursor = view.query.get("cursor")
    versions = view.api.find(view.path("versions"), Listed[VersionSummary], limit=VERSIONS, cursor=cursor, **NAMELESS)
    shown = [version.number for version in versions.items] if versions is not None else []
    oldest = min([*shown, *([model.live_version] if model.live_version is not None else [])], default=1)
    lineage = view.api.find(view.path("lineage"), Lineage, after=oldest - 1)
    moves = view.api.find(view.path("deployments"), Listed[Deployment], limit=DEPLOYMENTS)
    way = view.api.find(view.path("rollback"), WayBack)
    updates = view.api.find(view.path("updates"), Listed[Update], limit=UPDATES)
    disputes = view.api.find(view.path("disputes"), Listed[ModelDispute], state=DisputeState.OPEN, limit=1)
    verdicts = {node.number: node.verdict for node in lineage.versions} if lineage is not None else {}
    moved = moves.items if moves is not None else []
    lines = [_line(version, verdicts, moved, kind, words) for version in versions.items] if versions else []
    live = next((line for line in lines if line.version.live), None)
    if live is None and model.live_version is not None:
        old = view.api.find(view.path("versions", model.live_version), Version)
        live = _line(old, verdicts, moved, kind, words) if old is not None else None
    report = live.version.report if live is not None else None
    held = held_now(lineage)
    reports = [line.version.report for line in lines if line.version.report is not None]
    undone = _undone(moved, lines)
    had = learned_by(view, undone.number) if undone is not None else set()
    facts = {
        "model": model,
        "live": live,
        "good": kind.how_good(report, words, model.target) if live else "",
        "figures": kind.figures(report, words, of_live=True) if report is not None else ([], []),
        "held": [line for line in lines if line.version.number in held],
        "overtaken": [number for number in overtaken(lineage) if number in shown],
        "failed": _failed(updates.items if updates else []),
        "disputes": disputes.items if disputes else [],
        "unsettled": [update for update in updates.items if update.state in UNSETTLED] if updates else [],
        "lines": lines,
        "columns": kind.columns,
        "forgets": any(line.lost for line in lines),
        "bars": any(forgotten(of)[0] is not None for of in reports),
        "few": any(of.forgetting is not None and forgotten(of)[0] is None for of in reports),
        "moves": moved,
        "undone": undone.number if undone is not None else None,
        "outdated": undone is not None and not taken_back(view).isdisjoint(had),
        "waits_again": bool(had) and not had.isdisjoint(batch.id for batch in unstopped(view, model.name)),
        "judged": {v.number: (v.report.gate.why, line.why) for line in lines if (v := line.version).report is not None},
        "chart": _chart(lines, moved, kind, words),
        "goes_back": way is not None and bool(way.to or way.passed),
        "may_read": versions is not None,
        "older": versions.next_cursor if versions is not None else None,
        "latest": cursor is None,
        "faults": view.faults,
    }
    parts = {words("model.versions"): view.same(view.path("versions"), limit=VERSIONS, **NAMELESS)} if versions else {}
    return Shown("model.html", facts, json=view.path(), status=view.status, parts=parts)


@asks_again(show)
def act(view: View) -> Answer:
    """Lets new versions go live by themselves."""
    view.api.send("PATCH", view.path(), {"promotion": Promotion.AUTO})
    return Moved(f"/models/{view.params['model']}")


def _undone(moves: Sequence[Deployment], lines: Sequence[Line]) -> VersionSummary | None:
    """The version that the latest move, a rollback, took back; None where it was erased. moves: newest first."""
    last = moves[0].previous_version if moves and moves[0].kind is DeploymentKind.ROLLBACK else None
    there = (line.version for line in lines if line.version.erased_at is None)
    return next((version for version in there if version.number == last), None)


def _line(
    version: VersionSummary,
    verdicts: Mapping[int, Verdict | None],
    moves: Sequence[Deployment],
    kind: AnyKind,
    words: Words,
) -> Line:
    report, verdict = version.report, verdicts.get(version.number)
    went_live = version.live or any(move.version == version.number for move in moves)
    text = short(verdict, report, words)
    if went_live and verdict not in (Verdict.PROMOTED, None):
        text = words("verdict.by_order", verdict=text)
    if not version.live and version.number in (m.previous_version for m in moves if m.kind is DeploymentKind.ROLLBACK):
        text += words("list.comma") + words("lineage.rolled_back")
    why = verdict_sentence(verdict, version.number, version.parent, report, words)
    if report is None:
        return Line(version, verdict, went_live, text, why, ["–"] * len(kind.columns), "")
    share, rows = forgotten(report)
    lost = "" if share is None else _lost(share, kind, words)
    if share is None and report.forgetting is not None:
        lost = words("model.lost_few", n=rows)
    return Line(version, verdict, went_live, text, why, kind.cells(report, words), lost)


def _lost(share: float, kind: AnyKind, words: Words) -> str:
    """What was forgotten; with a minus what was gained."""
    return "−" * (round(share, 3) < 0) + kind.lost(abs(round(share, 3)), words)


def _failed(updates: Sequence[Update]) -> Update | None:
    """The latest update, if it failed."""
    ended = next((update for update in updates if update.state not in UNSETTLED), None)
    return ended if ended is not None and ended.state is UpdateState.FAILED else None


MARKS = {
    Verdict.PROMOTED: Mark.WENT_LIVE,
    Verdict.HELD: Mark.HELD,
    Verdict.REJECTED: Mark.REJECTED,
    Verdict.SUPERSEDED: Mark.HELD,
}


def _chart(lines: Sequence[Line], moves: Sequence[Deployment], kind: AnyKind, words: Words) -> Markup | None:
    """How good each version was; None where nothing was measured."""
    steps = [_step(line, kind) for line in reversed(lines)]
    if not any(step.main or step.other for step in steps):
        return None
    back = [(move.previous_version, move.version) for move in reversed(moves) if move.kind is DeploymentKind.ROLLBACK]
    rollbacks = [(before, to) for before, to in back if before is not None]
    return history(History(steps, rollbacks, kind.show, kind.series, words, lambda share: _lost(share, kind, words)))


def _step(line: Line, kind: AnyKind) -> Step:
    """A version on the chart."""
    number, mark, report = line.version.number, _mark(line), line.version.report
    if report is None:
        return Step(number, mark, None)
    return Step(number, mark, *kind.steps(report), forgotten=forgotten(report)[0])


def _mark(line: Line) -> Mark:
    """What became of a version: what went live by order was held or rejected before."""
    if line.version.live:
        return Mark.LIVE
    return Mark.WENT_LIVE if line.went_live or line.verdict is None else MARKS[line.verdict]


ROUTES = (Route("/models/{model}", show), Route("/models/{model}/auto", show, act, calls=["PATCH /v1/models/{model}"]))
