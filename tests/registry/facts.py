"""Facts for tests of the registry: models, batches, versions and updates without any bytes behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind, UpdateState
from service.contract.inputs import VectorInput
from service.contract.requests import CreateModel
from service.registry import batches, deployments, leases, models, states, updates, versions
from service.registry.sql.database import Database
from service.registry.sql.tables import Batch, Deployment, Model, Update, Version

LEASE = 30.0
MOST = 3


def model(session: Session, name: str = "digits", **fields: object) -> Model:
    """A model without versions."""
    request = CreateModel.model_validate({"name": name, "input": VectorInput(kind="vector", size=2), **fields})
    return models.create(session, request)


def undone(database: Database, act: Callable[[Session], object]) -> None:
    """A transaction that does this, and fails then."""
    with suppress(RuntimeError), database.writing() as session:
        act(session)
        raise RuntimeError


def arrival(digest: str, source: str | None = None, again: bool = False) -> batches.Arrival:
    """Four rows of two classes that are in the store already."""
    return batches.Arrival(
        id=batches.new_batch_id(),
        digest=digest,
        stored_digest=digest,
        rows=4,
        label_counts={"a": 3, "b": 1},
        folds={"a": [1, 0, 2, 0], "b": [0, 0, 1, 0]},
        lent=[],
        source=source,
        again=again,
    )


def batch(session: Session, model: Model, digest: str = "") -> Batch:
    """A batch of its own."""
    made, new = batches.accept(session, model, arrival(digest or batches.new_batch_id()))
    assert new
    return made


def learn(session: Session, model: Model, ids: Sequence[str] = ()) -> Update:
    """A queued update that learns."""
    return updates.enqueue(session, model, updates.Order(UpdateKind.LEARN, ids), by="somebody")


def retract(session: Session, model: Model, ids: Sequence[str], erase: bool = False) -> Update:
    """A queued retraction, its batches marked."""
    order = updates.Order(UpdateKind.RETRACT, ids, reason="wrong", erase=erase)
    for batch_id in ids:
        batches.retract(session, model, batches.get(session, model, batch_id), order.reason or "")
    return updates.enqueue(session, model, order, by="somebody")


def claim(session: Session, worker: str = "w1") -> Update:
    """The next update, ours."""
    update = leases.claim(session, worker, LEASE)
    assert update is not None
    return update


def made(learned: Sequence[str], feature_space: str | None = None) -> versions.Made:
    """What a worker made of these batches."""
    return versions.Made(
        learned=learned,
        layout={},
        shards=[],
        classes=["a", "b"],
        feature_space=feature_space,
        ledger_digest=None,
        bits=None,
        parameters=6,
        report={},
    )


def version(session: Session, model: Model, learned: Sequence[str] = ()) -> Version:
    """A version that an update made of these batches, not promoted."""
    update = learn(session, model, learned)
    states.advance(session, update, UpdateState.RUNNING, "claimed")
    version = versions.add(session, model, update, model.live_version_id, made(learned))
    update.version_id = version.id
    states.advance(session, update, UpdateState.SUCCEEDED, "succeeded")
    return version


def promoted(session: Session, model: Model, learned: Sequence[str] = ()) -> Version:
    """A version that went live by the gate."""
    new = version(session, model, learned)
    deployments.promote(session, model, new, "passed", deployments.BY_GATE)
    return new


def roll_back(session: Session, model: Model, to: int | None = None) -> Deployment:
    """An operator goes back."""
    return deployments.roll_back(session, model, "bad", to, by="operator")[0]


def live(session: Session, model: Model) -> int | None:
    """The number of the live version."""
    version = models.live(session, model)
    return version.number if version else None
