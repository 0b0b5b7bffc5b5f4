"""Updates by the code of the service, from a batch to its publication, in one process and without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.running.copied_versions import add_copies
from service.api.bodies.decoded_rows import RowsInMemory
from service.api.bodies.new_batch import NewBatch
from service.api.reader.annotations import Annotations
from service.contract.enums import NewClasses, UpdateKind, Verdict
from service.contract.inputs import VectorInput
from service.contract.requests import CreateBatch, CreateModel
from service.registry import leases, models, updates
from service.registry.sql.engines import migrate
from service.registry.updates import Order
from service.runtime import Runtime
from service.settings import Settings
from service.worker.child.answering import load
from service.worker.parent import assign
from service.worker.parent.publish import publish

METHOD = {"name": "ridge", "lift": "relu", "width": 64}
BY, LEASE_SECONDS = "benchmark", 3600.0
OF_BODY = CreateBatch.model_construct(inputs=[], groups=None, again=True, new_classes=NewClasses.ALLOW)


class UpdatesHere:
    """One model in a data folder, and how it learns. Nothing else uses the folder meanwhile. name: of the model, which
    is made where `numbers`, those of a row, are given."""

    def __init__(self, data: Path, name: str, numbers: int | None = None) -> None:
        data.mkdir(parents=True, exist_ok=True)
        settings = Settings(data=data)
        migrate(settings.database_url)
        self._runtime, self._name, self._executor = Runtime(settings), name, load(1)
        if numbers is not None:
            with self._runtime.database.writing() as session:
                models.create(session, CreateModel(name=name, input=VectorInput(kind="vector", size=numbers)))

    def learn(self, inputs: NDArray[np.float64], labels: Sequence[str]) -> Verdict | None:
        """A batch of these rows, the update that learns it, and its version. -> the verdict on it"""
        runtime = self._runtime
        rows = RowsInMemory(inputs, Annotations(labels, np.zeros((len(labels), 0))))
        batch = NewBatch(runtime, self._name, rows, OF_BODY)
        batch.store(set())
        with runtime.database.writing() as session:
            accepted, _ = batch.accept(session)
            order = Order(UpdateKind.LEARN, [accepted.id], METHOD)
            updates.enqueue(session, models.get(session, self._name), order, BY)
        with runtime.database.writing() as session:
            update = leases.claim(session, BY, LEASE_SECONDS)
        assert update is not None
        with runtime.database.reading() as session:
            assignment = assign.assignment(runtime, session, update, brief=True)
        assert assignment is not None
        result = self._executor.execute(assignment, history=partial(assign.history, runtime, assignment))
        self._executor.tidy()
        of_base = {shard.digest for shard in assignment.base.shards} if assignment.base is not None else ()
        return publish(runtime, update.id, update.fence, result, of_base)

    def copy(self, count: int) -> None:
        """So many versions more, in an instant; from then on nothing can be learned."""
        add_copies(self._runtime, self._name, count)

    def close(self) -> None:
        """Leaves the folder to a service."""
        self._runtime.close()
