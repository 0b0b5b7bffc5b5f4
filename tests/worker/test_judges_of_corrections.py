"""Which rows judge the version that learns a correction: of the corrected batch those that are kept for that and are
never learned, by what they are now, and none as they were before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.api.bodies.corrected_rows import corrected
from service.contract.enums import UpdateKind
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_rows, unpack_batch
from service.learning.evaluation.context import UpdateContext
from service.registry import batches, models, updates
from service.registry.rows.arrival import Arrival
from service.registry.sql.tables import Batch
from service.registry.updates import Order
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.worker.parent.publish import publish
from tests.worker.sample_updates import claimed
from tests.worker.test_learned_twice import RIDGE, Process

TRAINED = {"name": "retrain", "epochs": 1, "backbone": {"name": "mlp", "hidden": [4]}}


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> list[Rows]:
    """The trusted rows by which one version after another is judged."""
    every, examine = list[Rows](), UpdateContext.examine

    def seen(context: UpdateContext, base: Any, learned: Any, data: Any, run: Any) -> Any:
        every.append(data.exam)
        return examine(context, base, learned, data, run)

    monkeypatch.setattr(UpdateContext, "examine", seen)
    return every


def correct(process: Process, old: str) -> tuple[str, dict[int, str]]:
    """A batch with the labels of each third row turned round, in the place of one; -> its id, and all labels by row"""
    with process.runtime.database.writing() as session:
        digits, before = models.get(session, "digits"), session.get_one(Batch, old)
        assert before.stored_digest is not None
        rows, _ = unpack_batch(process.runtime.store.get(model_area(digits.id), before.stored_digest))
        labels = dict(zip(rows.row.tolist(), rows.label_names(), strict=True))
        rights = {row: ("b" if labels[row] == "a" else "a", ()) for row in [*labels][::3]}
        new = batches.new_batch_id()
        made = corrected(rows, rights, new, {})
        stored = process.runtime.store.put(model_area(digits.id), pack_rows(made))
        facts = Arrival(new, "c" * 64, stored, len(made), made.counts(), before.folds, [], None, True)
        accepted, _ = batches.accept(session, digits, facts)
        accepted.corrects = old
        batches.retract(session, digits, before)
        order = (
            Order(UpdateKind.RETRACT, [old], adds=[new]) if before.in_live else Order(UpdateKind.LEARN, [new], RIDGE)
        )
        updates.enqueue(session, digits, order, by="somebody")
    return new, labels | {row: label for row, (label, _) in rights.items()}


@pytest.mark.parametrize("method", [RIDGE, TRAINED])
def test_corrected_rows_judge_by_what_they_are_now_and_only_those_that_are_not_learned(
    runtime: Runtime, judges: list[Rows], method: dict[str, Any]
) -> None:
    process = Process(runtime)
    wrong = process.send(1)
    for batch in (process.first, wrong):
        process.order([batch], method)
        process.learn()
    assert set(judges[-1].batches) <= {process.first}, "no update judges itself by rows that it brings"
    new, labels = correct(process, wrong)
    update = claimed(runtime)
    assert publish(runtime, update.id, update.fence, process.execute(update)) == "promoted"
    exam = judges[-1]
    own = exam.in_batches([new])
    names = np.array(exam.label_names())
    assert own.any()
    assert wrong not in exam.batches
    assert {
        row: str(name) for row, name in zip(exam.row[own].tolist(), names[own], strict=True)
    }.items() <= labels.items()
    assert exam.judging[own].all()
    assert not exam.learning[own].any()


def test_rows_of_a_corrected_batch_that_waited_do_not_judge_it(runtime: Runtime, judges: list[Rows]) -> None:
    process = Process(runtime)
    process.order([process.first], RIDGE)
    process.learn()
    correct(process, process.send(1))
    update = claimed(runtime)
    publish(runtime, update.id, update.fence, process.execute(update))
    assert set(judges[-1].batches) == {process.first}
