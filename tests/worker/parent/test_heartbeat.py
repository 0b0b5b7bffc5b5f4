"""What the parent looks for while its child learns: seldom, and at once when something rings."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind
from service.registry import models, updates
from service.registry.sql.tables import Update
from service.registry.updates import Order
from service.runtime import Runtime
from service.worker.parent.child_process import Yielding
from service.worker.parent.heartbeat import Heartbeat
from tests.registry.facts import model
from tests.worker.made import claimed, store_batch


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
