"""The lineage of a model: which version was made from which, what became of each, what was live and was rolled back."""

from __future__ import annotations

from collections.abc import Collection

from service.contract.enums import DeploymentKind, Verdict
from service.contract.resources import Page as Listed
from service.contract.version_resources import Deployment, Lineage, LineageNode
from service.web.charts.history import Mark
from service.web.charts.lanes import Node, lineage
from service.web.reports.verdicts import COLOURS
from service.web.view import Answer, Route, Shown, View
from service.web.words import Words

MOST = 50
"""Versions on one page."""
MOVES = 200
"""So many of the latest moves of the live pointer are looked back on."""
MARKS = {Verdict.PROMOTED: Mark.WENT_LIVE, Verdict.REJECTED: Mark.REJECTED, None: Mark.WENT_LIVE}


def show(view: View) -> Answer:
    """The versions below a number, those of the largest numbers first."""
    name, before = view.params["model"], view.query.get("before", "")
    model = view.model()
    all_of = view.api.get(view.path("lineage"), Lineage)
    moves = view.api.get(view.path("deployments"), Listed[Deployment], limit=MOVES).items
    undone = {m.previous_version for m in moves if m.kind is DeploymentKind.ROLLBACK}
    below = {"before": int(before[:18])} if before.isdecimal() else {}
    older = [n for n in all_of.versions if not below or n.number < below["before"]]
    shown = sorted(older, key=lambda node: -node.number)[:MOST]
    went_live = {move.version for move in moves}
    nodes = [Node(n.number, n.parent, _mark(n, went_live), note(n, went_live, undone, view.words)) for n in shown]
    title = view.words("lineage.title", model=name)
    facts = {
        "model": model,
        "lines": [
            (n, node.note, COLOURS[n.verdict] if n.verdict is not None else "")
            for n, node in zip(shown, nodes, strict=True)
        ],
        "sentence": _sentence(all_of, view.words),
        "chart": lineage(nodes, all_of.live_version, title, _sentence(all_of, view.words)) if nodes else None,
        "older": shown[-1].number if len(older) > len(shown) else None,
    }
    return Shown("lineage.html", facts, json=view.same(view.path("lineage"), **below))


def note(node: LineageNode, went_live: Collection[int], undone: Collection[int | None], words: Words) -> str:
    """ "went live, rolled back", "held" """
    said = [words(f"verdict.{node.verdict}" if node.verdict is not None else "verdict.none")]
    if node.number in went_live and node.verdict not in (Verdict.PROMOTED, None):
        said = [words("verdict.by_order", verdict=said[0])]
    if node.live:
        said.append(words("model.live_now"))
    elif node.number in undone:
        said.append(words("lineage.rolled_back"))
    if node.erased:
        said.append(words("lineage.erased"))
    return words("list.comma").join(said)


def _mark(node: LineageNode, went_live: Collection[int]) -> Mark:
    if node.live:
        return Mark.LIVE
    return Mark.WENT_LIVE if node.number in went_live else MARKS.get(node.verdict, Mark.HELD)


def _sentence(of: Lineage, words: Words) -> str:
    """How many versions there are, and through how many of them the live one came."""
    parents = {node.number: node.parent for node in of.versions}
    steps, at = 0, of.live_version
    while at is not None:
        steps, at = steps + 1, parents.get(at)
    count = words("lineage.count", n=len(of.versions))
    line = words("lineage.line", live=of.live_version, n=steps)
    return f"{count} {line}" if steps else count


ROUTE = Route("/models/{model}/lineage", show)
