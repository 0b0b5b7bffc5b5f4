"""Requests by route, status and duration: counted on the event loop alone, so without a lock."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from service.telemetry.metrics import SECONDS, Buckets, Counter, Family, Sample

NO_ROUTE, UNREAD = "(none)", "(unread)"
"""In place of a route: of an address that there is not, and of what could not be read as a request."""


MODEL_ERRORS = Counter(
    "tsuika_model_errors_total", "Requests of a model that were answered with 5xx.", ["model", "status"]
)


class RouteFigures(Buckets):
    """The requests of one method and route: how many had each status, and their seconds."""

    __slots__ = ("statuses",)

    def __init__(self) -> None:
        super().__init__(SECONDS)
        self.statuses = defaultdict[int, int](int)

    def add(self, status: int, seconds: float) -> None:
        """Counts an answer. It stands on the way of every prediction, so it calls nobody but the search."""
        self.statuses[status] += 1
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds


_routes: dict[tuple[str, str], RouteFigures] = {}


def of_route(method: str, route: str) -> RouteFigures:
    if (figures := _routes.get((method, route))) is None:
        figures = _routes[method, route] = RouteFigures()
    return figures


def families() -> Iterator[Family]:
    counts, seconds = list[Sample](), list[Sample]()
    for (method, route), figures in list(_routes.items()):
        labels = (("method", method), ("route", route))
        counts += [Sample((*labels, ("status", str(s))), n) for s, n in list(figures.statuses.items())]
        seconds += figures.samples(labels)
    yield Family("tsuika_requests_total", "counter", "Requests that were answered.", counts)
    yield Family(
        "tsuika_request_duration_seconds", "histogram", "Time from the head to the end of the answer.", seconds
    )
