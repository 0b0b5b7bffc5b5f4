"""An exported version of classes: probabilities, by a softmax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract.names import shortened
from service.contract.predictions import Predictions
from service.contract.reports.class_report import ClassScore, Commonest, Report
from service.contract.version_resources import Version
from service.export.kinds.kind import Kind
from service.export.markdown import PIPE, code
from service.learning.network.checkpoint import Layout

MOST_COLUMNS = 1000
"""Most classes that the service lists of a row: of more, those with the highest scores are compared."""
ROUNDINGS = 16 * 2.0**-23
"""Largest difference of a score as a part of the largest logit, where that is more: float32 holds 24 bits of a logit,
and `lda` on labels of chance has logits of 100,000."""
MOST_CLASSES = 200
"""Classes that the card lists with their accuracy."""


class ClassKind(Kind[Predictions, Report]):
    shape = "[n, classes]: probabilities"

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.names, self.temperature = list(layout.outputs), layout.temperature

    def forward(self, given: Tensor, rows: Tensor) -> Tensor:
        return torch.softmax(given / self.temperature, 1, dtype=torch.float64)

    def rounded(self, given: Tensor) -> float:
        return ROUNDINGS * float(given.abs().max()) / self.temperature

    def options(self) -> Mapping[str, Any]:
        return {"top": min(len(self.names), MOST_COLUMNS)}

    def difference(self, answer: Predictions, own: NDArray[np.float64]) -> float:
        place = {name: k for k, name in enumerate(self.names)}
        shares = [(row, share) for row, prediction in enumerate(answer.predictions) for share in prediction.top]
        return float(np.max([abs(share.score - float(own[row, place[share.class_]])) for row, share in shares]))

    def predicts(self, version: Version) -> str:
        named = shortened([*map(code, version.classes)], MOST_CLASSES)
        return f"It predicts one of {len(version.classes):,} classes: {named}."

    def quality(self, report: Report) -> Iterator[str]:
        scores = report.classes
        if (after := report.after) is not None:
            right, mean = f"{after.accuracy:.1%}", f"{after.balanced_accuracy:.1%}"
            on = f"{after.rows:,} trusted rows, which it did not learn"
            yield ""
            yield f"Right on {right} of {on}; {mean} as a mean over classes."
            yield _commonest(after.classes, after.commonest)
        elif report.new_classes.after is not None:
            brought = report.new_classes
            yield ""
            yield f"Right on {brought.after:.1%} of {brought.rows:,} rows that it had not learned."
            yield _commonest(brought.classes, brought.commonest)
        if report.tested is not None:
            right = f"{report.tested.accuracy:.1%}"
            yield ""
            rows = f"{report.tested.rows:,} rows that this version brought"
            yield f"As they came, before they were learned, the version before was right on {right} of the {rows}."
        if scores:
            yield from ("", "| class | right | of rows |", "| --- | --- | --- |")
        for name, score in list(scores.items())[:MOST_CLASSES]:
            yield f"| {code(name).replace('|', PIPE)} | {score.accuracy:.1%} | {score.rows:,} |"


def _commonest(scores: Mapping[str, ClassScore], measured: Commonest | None) -> str:
    """What anybody could say of the same rows, counted as what is said of the version; of an older report of rows that
    are at most 200 a class, or of all rows of the update."""
    if measured is not None and measured.rows is not None:
        same = measured.rows == sum(score.rows for score in scores.values())
        of = "them" if same else f"all {measured.rows:,} rows"
        return f"Always saying {code(measured.class_)} is right on {measured.accuracy:.1%} of {of}."
    rows = {name: score.rows for name, score in scores.items()}
    most = max(sorted(rows), key=lambda name: rows[name])
    share = f"{rows[most] / sum(rows.values()):.1%}"
    return f"Always saying {code(most)} is right on {share} of them, which are at most 200 a class."
