"""Which version was made from which: a graph from the newest down, the line of what is live straight at its left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.web.charts.axis import cross, dot, svg, text
from service.web.charts.history import Mark

ROW, LANE, LEFT, TOP, WIDTH = 28, 22, 14, 16, 320
MOST_LANES = 8
"""Lines beside each other; what would need more shares the last one."""


@dataclass(frozen=True)
class Node:
    """A version. `parent`: what it was made from; `note`: what became of it, in a few words."""

    number: int
    parent: int | None
    mark: Mark
    note: str


def lineage(nodes: Sequence[Node], live: int | None, title: str, description: str) -> Markup:
    """The graph. nodes: newest first."""
    lanes = lanes_of(nodes, live)
    places = {
        node.number: (_x(lane), TOP + ROW * row) for row, (node, lane) in enumerate(zip(nodes, lanes, strict=True))
    }
    bottom = TOP + ROW * len(nodes) - ROW // 2
    edges = [_edge(places[n.number], places.get(n.parent), bottom) for n in nodes if n.parent is not None]
    after = _x(max(lanes, default=0)) + 16
    drawn = [
        piece
        for node in nodes
        for x, y in (places[node.number],)
        for piece in (*_drawn(node.mark, x, y), text("cls", after, y + 4, f"{node.number} · {node.note}"))
    ]
    return svg([*edges, *drawn], WIDTH, bottom + 4, title, description, kind="lineage")


def lanes_of(nodes: Sequence[Node], live: int | None) -> list[int]:
    """The lane of each version, newest first; what the live version was made from stays in lane 0."""
    waiting: list[int | None] = [live if any(node.number == live for node in nodes) else None]
    lanes = []
    for node in nodes:
        here = [lane for lane, number in enumerate(waiting) if number == node.number]
        free = [lane for lane, number in enumerate(waiting) if number is None]
        lane = (here or free or [len(waiting)])[0]
        waiting += [None] * (lane + 1 - len(waiting))
        for ended in here:
            waiting[ended] = None
        waiting[lane] = node.parent
        lanes.append(min(lane, MOST_LANES - 1))
    return lanes


def _x(lane: int) -> int:
    return LEFT + LANE * lane


def _edge(child: tuple[int, int], parent: tuple[int, int] | None, bottom: int) -> str:
    """From a version down to what it was made from; to the end of the picture where that is older than all of it."""
    (x, y), turn = child, ROW // 2
    if parent is None:
        return f'<path class="edge" d="M{x},{y}V{bottom}"/>'
    to, end = parent
    return f'<path class="edge" d="M{x},{y}V{end - ROW}C{x},{end - turn} {to},{end - turn} {to},{end}"/>'


def _drawn(mark: Mark, x: int, y: int) -> list[str]:
    if mark is Mark.REJECTED:
        return [cross(x, y)]
    if mark is Mark.HELD:
        return [dot("hollow old", x, y, 5)]
    return [dot("dot old", x, y, 5), *([dot("ring", x, y, 9)] if mark is Mark.LIVE else [])]
