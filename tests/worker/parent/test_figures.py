"""How updates that ended are counted: what the gate held apart from what a person promotes."""

from __future__ import annotations

import pytest

from service.contract.enums import Outcome
from service.registry import models, versions
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.telemetry.metrics import Counter
from service.worker.parent import figures
from service.worker.parent.publish import finish_empty, finish_lost, publish
from tests.registry.facts import learn
from tests.worker.sample_updates import claimed, result, with_batches


class Silent:
    """A span of no trace."""

    def tell(self, failed: bool = False, **attributes: object) -> None: ...


def test_what_the_gate_held_is_counted_apart_from_what_waits_for_a_person_and_from_challengers(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter("tsuika_updates_total", "", ["model", "method", "verdict"])
    monkeypatch.setattr(figures, "UPDATES", counter)
    batches, first = with_batches(runtime, 4, promotion="manual"), ""
    for batch, ends in zip(batches, ("ready", "held", "challenger", "none"), strict=True):
        with runtime.database.writing() as session:
            learn(session, models.get(session, "digits"), [batch])
        update = claimed(runtime)
        if ends in ("ready", "held"):
            outcome = Outcome.PASS if ends == "ready" else Outcome.UNDECIDED
            publish(runtime, update.id, update.fence, result(runtime, [batch], outcome))
        elif ends == "none":
            finish_empty(runtime, update.id, update.fence)
        else:
            with runtime.database.writing() as session:
                session.get_one(Update, update.id).challenges = first
            finish_lost(runtime, update.id, update.fence, "It was no better.")
        first = update.id
        figures.count(runtime, update.id, 1.0, Silent())
        counted = {dict(sample.labels)["verdict"]: sample.value for sample in counter.family().samples}
        assert counted[ends] == 1, counted
    with runtime.database.reading() as session:
        model = models.get(session, "digits")
        made, _ = versions.page(session, model, 10, None)
        assert [one.verdict for one in versions.summaries_of(session, model, made)] == ["held", "held"]
