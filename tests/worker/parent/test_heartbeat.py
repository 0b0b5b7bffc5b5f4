"""What the parent looks for while its child learns: seldom, and at once when something rings."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind, UpdateState
from service.registry import models, states, updates
from service.registry.sql.tables import Update
from service.registry.updates import Order
from service.runtime import Runtime
from service.tuning.messages import Progress
from service.worker.parent.child_process import Yielding
from service.worker.parent.heartbeat import Heartbeat, LossCurve
from tests.registry.facts import model
from tests.worker.sample_updates import claimed, store_batch


@pytest.fixture
def patient(runtime: Runtime) -> Runtime:
    """One that looks once a minute."""
    runtime.settings = runtime.settings.model_copy(update={"poll_seconds": 60.0, "beat_seconds": 60.0})
    with runtime.database.writing() as session:
        model(session)
    return runtime


def order(session: Session, runtime: Runtime, seed: int = 0) -> Update:
    batch = store_batch(runtime, session, seed=seed)
    return updates.enqueue(
        session, models.get(session, "digits"), Order(UpdateKind.LEARN, [batch.id], {"name": "ridge"}), by="somebody"
    )


def test_a_cancelled_update_stops_as_soon_as_it_rings(patient: Runtime) -> None:
    with patient.database.writing() as session:
        order(session, patient)
    update = claimed(patient)
    patient.work.clear()
    heartbeat = Heartbeat(patient, update, threading.Event())
    assert not heartbeat(None)
    with patient.database.writing() as session:
        assert not updates.cancel(session, session.get_one(Update, update.id))
    assert not heartbeat(None)
    patient.work.set()
    assert heartbeat(None)
    assert not patient.work.is_set()


def test_an_update_shows_the_losses_of_its_training_and_none_once_it_has_ended(runtime: Runtime) -> None:
    runtime.settings = runtime.settings.model_copy(update={"poll_seconds": 0.0, "beat_seconds": 0.0})
    with runtime.database.writing() as session:
        model(session)
        order(session, runtime)
    update = claimed(runtime)
    heartbeat = Heartbeat(runtime, update, threading.Event())
    for progress in (Progress("training", 1, 2, 1, 0.51234, 0.75), Progress("training", 2, 2, 2, 0.25)):
        heartbeat(progress)
    heartbeat(Progress("judging", 0, 1))
    with runtime.database.writing() as session:
        row = session.get_one(Update, update.id)
        assert row.progress is not None
        shown = updates.resources_of(session, [row])[0].progress
        assert [(e.epoch, e.training, e.kept_back) for e in shown.losses] == [(1, 0.5123, 0.75), (2, 0.25, None)]
        states.advance(session, row, UpdateState.FAILED, "failed")
        assert row.progress is None


def test_losses_are_few_and_another_training_begins_anew() -> None:
    curve = LossCurve()

    def epochs(phase: str = "training") -> list[int]:
        return [point["epoch"] for point in curve.beside(Progress(phase, 0, 1)).get("losses", [])]

    curve.add(Progress("training", 0, 1000))
    assert epochs() == []
    for epoch in range(1, 1001):
        curve.add(Progress("training", epoch, 1000, epoch, 1 / epoch))
        curve.add(Progress("training", epoch, 1000, epoch, 1 / epoch))
    assert (len(epochs()), epochs()[0], epochs()[-1]) == (100, 1, 1000)
    assert max(after - before for before, after in pairwise(epochs())) <= 20
    curve.add(Progress("training", 1, 1000, 1, 0.5))
    assert epochs() == [1]
    curve.add(Progress("probing", 2, 1000, 2, 0.5))
    assert epochs() == [2]


def test_a_challenger_makes_room_as_soon_as_somebody_orders_an_update(patient: Runtime) -> None:
    with patient.database.writing() as session:
        champion = order(session, patient)
        session.flush()
        session.get_one(Update, order(session, patient, seed=1).id).challenges = champion.id
    claimed(patient)
    with patient.database.reading() as session:
        challenger = session.query(Update).filter(Update.challenges.is_not(None)).one()
    patient.work.clear()
    heartbeat = Heartbeat(patient, challenger, threading.Event())
    assert not heartbeat(None)
    with patient.database.writing() as session:
        order(session, patient, seed=2)
    assert not heartbeat(None)
    patient.work.set()
    with pytest.raises(Yielding):
        heartbeat(None)
