"""How good the live versions were found to be before they went live, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.reports.class_report import FEW
from service.registry.sql.tables import Model, Version
from service.runtime import Runtime
from service.telemetry import metrics
from service.telemetry.metrics import Family, Sample

GROUPS = ("old_classes", "new_classes")
WORST = "worst_class"


class LiveScores:
    """The scores of the live versions of the models that figures name; a report is read once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._scores: dict[tuple[str, int], dict[str, float]] = {}

    def refresh(self, session: Session) -> None:
        """Reads the reports of versions that are live since the last call."""
        named = {n: v for n, v in self._runtime.live.live_versions().items() if metrics.NAMED.label(n) != metrics.OTHER}
        scores = {key: self._scores.get(key) for key in named.items()}
        if fresh := [name for (name, _), known in scores.items() if known is None]:
            query = select(Model.name, Version.number, Version.report).join(Model, Model.live_version_id == Version.id)
            for name, number, report in session.execute(query.where(Model.name.in_(fresh))):
                scores[name, number] = _scores_of(report or {})
        self._scores = {key: known for key, known in scores.items() if known is not None}

    def families(self) -> Iterator[Family]:
        """The scores by model."""
        scores = [(name, group, score) for (name, _), of in self._scores.items() for group, score in of.items()]
        yield Family(
            "tsuika_accuracy",
            "gauge",
            "Accuracy of the live version on rows that it never learned, as its report has it.",
            [
                Sample((("model", name), ("group", group)), score)
                for name, group, score in scores
                if group in (*GROUPS, WORST)
            ],
        )
        yield Family(
            "tsuika_skill",
            "gauge",
            "Skill of the live version of numbers: 1 - its error / that of the yardstick, as its report has it.",
            [Sample((("model", name),), score) for name, group, score in scores if group == "skill"],
        )


def _scores_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy by group and of the worst class, or skill, as far as a report has them."""
    scores = {group: (report.get(group) or {}).get("after") for group in GROUPS} | {"skill": report.get("skill")}
    by_class = [
        of for part in ("after", "new_classes") for of in ((report.get(part) or {}).get("classes") or {}).values()
    ]
    scores[WORST] = min((of["accuracy"] for of in by_class if of["rows"] >= FEW), default=None)
    return {group: score for group, score in scores.items() if score is not None}
