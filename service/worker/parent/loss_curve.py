"""The losses of the training at hand, epoch by epoch: few enough for a row that is written once a second."""

from __future__ import annotations

from typing import Any

from service.tuning.messages import Progress

MOST_POINTS = 100


class LossCurve:
    """At most MOST_POINTS epochs, spread evenly, with the first and the last one. Another training begins anew, and so
    does one that is done again."""

    def __init__(self) -> None:
        self._latest: Progress | None = None
        self._points: list[dict[str, Any]] = []

    def add(self, progress: Progress) -> None:
        """Takes in the losses of a message, if it has any; the same message again adds nothing."""
        before = self._latest
        if progress.loss is None or progress == before:
            return
        if before is not None and (progress.phase != before.phase or progress.epoch <= before.epoch):
            self._points = []
        self._latest = progress
        self._points.append(
            {"epoch": progress.epoch, "training": _rounded(progress.loss), "kept_back": _rounded(progress.kept_loss)}
        )
        if len(self._points) > MOST_POINTS:
            epochs = [point["epoch"] for point in self._points]
            del self._points[min(range(1, MOST_POINTS), key=lambda k: epochs[k + 1] - epochs[k - 1])]

    def beside(self, progress: Progress) -> dict[str, Any]:
        """Where an update stands, as its row keeps it."""
        facts = {"phase": progress.phase, "done": progress.done, "total": progress.total}
        return {**facts, "losses": self._points.copy()} if self._points else facts


def _rounded(loss: float | None) -> float | None:
    """To four digits: they are looked at."""
    return None if loss is None else float(f"{loss:.4g}")
