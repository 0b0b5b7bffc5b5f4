"""Whatever a service stores for good is in the one list of files that rows name, whoever stored it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from service.contract.enums import UpdateKind, Verdict
from service.errors import Cancelled
from service.learning.ledger.exchange import entry_of
from service.learning.ledger.sums import Sums
from service.learning.run import Run
from service.registry import models, updates
from service.registry.rows import merges
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.upkeep import retention
from service.upkeep.named_files import Name, named, names
from service.worker.assignment import Assignment
from service.worker.child.train import Executor
from service.worker.parent import assign
from service.worker.parent.publish import publish
from service.worker.parent.saved_trainings import SavedTrainings
from tests.learning.exact_help import entry_of as rows_of
from tests.registry.facts import arrival, model
from tests.upkeep.conftest import stored
from tests.worker.sample_updates import SPACE, claimed, store_batch


def named_now(runtime: Runtime) -> set[Name]:
    with runtime.database.reading() as session:
        return named(session)


def begun(runtime: Runtime, seed: int, **method: Any) -> tuple[Update, Assignment]:
    """An update that learns a batch of its own, claimed."""
    with runtime.database.writing() as session:
        batch = store_batch(runtime, session, seed=seed)
        order = updates.Order(UpdateKind.LEARN, [batch.id], method)
        updates.enqueue(session, models.get(session, "digits"), order, by="somebody")
    update = claimed(runtime)
    with runtime.database.reading() as session:
        assignment = assign.assignment(runtime, session, update)
    assert assignment is not None
    return update, assignment


def test_all_that_a_life_stores_is_named_in_one_list(runtime: Runtime) -> None:
    with runtime.database.writing() as session:
        model(session, retention="exemplars", memory_rows=2)
    update, assignment = begun(runtime, seed=0, name="ridge", lift="none")
    result = Executor().execute(assignment)
    assert publish(runtime, update.id, update.fence, result) is Verdict.PROMOTED
    assert named_now(runtime) == stored(runtime)
    assert retention.settle(runtime, 1) == 1
    sums = Sums.of(rows_of([[1, 2], [3, 4]], ["a", "b"]))
    packed = entry_of(sums).pack()
    entry = runtime.store.put(model_area(1), packed)
    sent = replace(arrival(entry), rows=2, label_counts={"a": 1, "b": 1}, space=SPACE, entries={"bat_0a": 2})
    with runtime.database.writing() as session:
        merges.accept(session, models.get(session, "digits"), sent)
    assert named_now(runtime) == stored(runtime), (
        "sums and the rows that stay, in the place of all, and a merged ledger"
    )

    update, assignment = begun(runtime, seed=1, name="fine_tune", epochs=30, batch_size=2)
    steps = count()

    def stop() -> None:
        if next(steps) == 20:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        Executor().execute(
            assignment.model_copy(update={"save_seconds": 1e-9}), Run(check=stop), SavedTrainings(runtime, update)
        )
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        of_life = list(names(session, digits))
        assert list(names(session)) == of_life, "there is no other model"
        few = {each.name for each in of_life if each.owner == update.id}
        assert named(session, few) == few
    assert {each.what.split(" of ")[0] for each in of_life} == {
        *(f'part "{shard.part}"' for shard in result.shards),
        "answers",
        "rows",
        "sums",
        "the last save",
    }
    assert {each.name for each in of_life} <= stored(runtime)
