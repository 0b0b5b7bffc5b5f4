"""Routes of exact ledgers: the sums of a version leave, and those of another service are merged."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from service.api.bodies.ledger_body import AT, SentLedger, read_ledger
from service.api.context import Context, Shared, Wait, attempt, caller
from service.api.idempotent_posts import Act, Done, Effect
from service.api.openapi import KEY, gives, refusals
from service.api.routes.updates import ORDERS, announce, answer_update
from service.contract.body_limits import BodyLimits
from service.contract.enums import RAW, SAFETENSORS, NewClasses, UpdateKind
from service.contract.requests import Reason, Source
from service.contract.tables import TableInput
from service.errors import Conflict, UnknownLabels
from service.intake.kinds.labels import unknown_labels
from service.learning.data.serialization import pack
from service.learning.ledger.exchange import FORMAT, entry_of
from service.learning.methods import as_learned
from service.learning.network.checkpoint import LAYOUT
from service.learning.network.input_scale import declares_scale
from service.registry import aliases, batches, models, updates
from service.registry.callers import quotas
from service.registry.rows import merges
from service.registry.rows.arrival import Arrival
from service.registry.sql.tables import Model, Update, Version
from service.registry.updates import Order
from service.remedies import NEW_CLASSES_OF_FILE
from service.storage.artifacts import model_area
from service.upkeep.named_files import Name
from service.upkeep.verify import stored_sums

routes = APIRouter()

LEDGER = "safetensors: `G` [M+1, M+1], `Q` [M+1, C] and `n` [C], float64."


@routes.get(
    "/v1/models/{model}/versions/{version}/ledger",
    response_class=Response,
    tags=["versions"],
    responses=gives(RAW, LEDGER) | refusals(404, 409, 410, 507),
)
async def get_ledger(request: Request, shared: Shared, model: str, version: str) -> Response:
    """The exact sums of a version: anybody can solve the head from them. The metadata holds the class names or,
    where targets are numbers, the offset and step of the grid on which columns of `G` hold them."""
    return await shared.downloads.send(request, lambda: _ledger(shared, model, version))


def _ledger(shared: Context, model: str, version: str) -> tuple[bytes, str]:
    runtime = shared.runtime
    with runtime.database.reading() as session:
        record = models.get(session, model)
        facts = aliases.present(session, record, version)
        entries = merges.entries_of(session, record, facts, runtime.settings.ledger_min_rows)
    sums = stored_sums(runtime, record, facts) if facts.feature_space is not None else None
    if sums is None:
        raise Conflict(f"Version {facts.number} has no ledger: no exact sums stand behind it.")
    tensors = {"G": sums.G, "Q": sums.Q, "n": np.asarray(sums.n, np.float64)}
    meta = {
        "format": FORMAT,
        "model": model,
        "version": facts.number,
        "classes": list(sums.classes),
        "feature_space": facts.feature_space,
        "digest": facts.ledger_digest,
        "entries": entries,
    }
    if (numbers := facts.layout.get("numbers")) is not None:
        meta["numbers"] = numbers  # the last columns are the limbs of targets on this grid
    return pack(tensors, meta), f"{model}-{facts.number}-ledger.safetensors"


FILE = {"type": "string", "format": "binary", "description": f"What GET .../ledger gave elsewhere. {LEDGER}"}
MERGE: dict[str, Any] = {
    "parameters": [KEY],
    "requestBody": {"required": True, "content": {media: {"schema": FILE} for media in (RAW, SAFETENSORS)}},
}


@dataclass(frozen=True)
class Merge:
    """What is asked beside the ledger."""

    new_classes: NewClasses
    source: str | None
    reason: str
    if_live: int | None


@routes.post("/v1/models/{model}/merges", tags=["updates"], openapi_extra=MERGE, **ORDERS)
async def create_merge(
    request: Request,
    shared: Shared,
    model: str,
    wait: Wait,
    new_classes: Annotated[NewClasses, Query(description="What to do with classes that this model does not have.")] = (
        NewClasses.REFUSE
    ),
    source: Annotated[Source | None, Query(description="Where the rows come from.")] = None,
    reason: Annotated[Reason, Query()] = "",
    if_live: Annotated[int | None, Query(ge=1, description="Refuse (409) unless this version is live.")] = None,
) -> Response:
    """Learn from the ledger of another service: sums of rows, without a row. They become a batch, which can be taken
    back; the head that is live is solved anew with them, and judged by the rows that are here."""
    order = Merge(new_classes, source, reason, if_live)
    done = await run_in_threadpool(_order, request, shared, model, order)
    return await answer_update(request, shared, done, wait)


def _order(request: Request, shared: Context, name: str, order: Merge) -> Done:
    data: bytes = request.scope["tsuika.body"]
    by, runtime = caller(request), shared.runtime
    with runtime.database.reading() as session:
        target = models.target_of(models.get(session, name))
    identity = {"body": hashlib.sha256(data).hexdigest(), **asdict(order)}

    def begin(stored: set[Name]) -> Act:
        sent = read_ledger(data, target)
        with runtime.database.reading() as session:
            model = models.get(session, name)
            base, area = _base_of(session, model, sent), model_area(model.id)
            _check_vocabulary(model, sent, order.new_classes, runtime.settings)
            table = isinstance(models.input_of(model), TableInput)
        sent.check(*_columns(base))
        packed = entry_of(sent.sums).pack()
        facts = Arrival(
            id=batches.new_batch_id(),
            digest=sent.digest,
            stored_digest=runtime.store.put(area, packed),
            rows=sent.sums.rows,
            label_counts=sent.label_counts,
            folds={},
            lent=[],
            source=order.source,
            again=False,
            bytes=len(packed),
            values={} if table else None,
            space=sent.space,
            entries=sent.entries,
        )
        stored.add((area, facts.stored_digest))

        def act(session: Session) -> Effect:
            model = models.get(session, name, locked=True)
            models.check_live(session, model, order.if_live)
            base = _base_of(session, model, sent)
            _check_vocabulary(model, sent, order.new_classes, runtime.settings)
            batch = merges.accept(session, model, facts)
            if batch.id in base.learned:
                raise Conflict(f"This ledger was merged already: the live version holds it as batch {batch.id}.")
            models.add_classes(session, model, list(sent.label_counts))
            quotas.require_room(session, model, runtime.settings)
            quotas.require_turn(session, model, runtime.settings)
            method = session.get_one(Update, base.update_id).method
            assert method is not None, "an exact head was solved by a method"
            asked = Order(UpdateKind.LEARN, [batch.id], as_learned(method), reason=order.reason or None)
            update = updates.enqueue(session, model, asked, by)
            return Effect(202, {"update": update.id}, lambda: announce(shared))

        return act

    return shared.posts.run(attempt(request, identity), begin, brings=True, common=True)


def _base_of(session: Session, model: Model, sent: SentLedger) -> Version:
    """The live version, if sums of the ledger's feature space can be added to its own. Raises Conflict, with both
    feature spaces."""
    live = models.live(session, model)
    if live is None or live.ledger_digest is None or not live.layout["head"]:
        what = "has no live version" if live is None else f"{live.number} is live, which no exact sums decide"
        raise Conflict(
            f"{model.name} {what}: a ledger is added to the sums of a live version, and judged by rows that are here. "
            'Learn rows with {"name": "ridge"} first, with the scale and the lift that the other service has.'
        )
    spaces = {"feature_space": live.feature_space, "of_ledger": sent.space}
    spec, target = models.input_of(model), models.target_of(model)
    which = f"The ledger is of feature space {sent.space}, and version {live.number} stands on {live.feature_space}"
    if sent.space == live.feature_space:
        which = f"The ledger and version {live.number} are of one feature space"
    if not declares_scale(spec):
        what = (
            '"scale": {"range": [lo, hi]} for each column of numbers, and values or many for each category'
            if spec.kind == "table"
            else ('"scale": {"range": [lo, hi]}')
        )
        raise Conflict(
            f"{which}, whose scale was fitted to the first batch of {model.name}: no other service has the same, "
            f"unless it learned the same rows. Make the models anew, both with a declared scale: {what}.",
            **spaces,
        )
    if target.fits_grid:
        raise Conflict(
            f"{which}, whose grid of targets was fitted to the first batch of {model.name}: no other service has the "
            "same, unless it learned the same rows. Make the models anew, both with the same range or step of the "
            "target.",
            **spaces,
        )
    if sent.space != live.feature_space:
        raise Conflict(
            f"{which}: sums of other features cannot be added. Both models need the same input, declared scale, "
            'architecture and target, and a method that names its lift, such as {"name": "ridge", "lift": "none"}. '
            "Then export the ledger anew.",
            **spaces,
        )
    return live


def _columns(base: Version) -> tuple[int, int]:
    """Columns of an entry in the version's feature space, and how many numbers it predicts of a row: 0 of classes."""
    layout = LAYOUT.as_stored(base.layout)
    return layout.head[0].columns[1] + layout.limbs, layout.limbs // 2


def _check_vocabulary(model: Model, sent: SentLedger, new_classes: NewClasses, limits: BodyLimits) -> None:
    """Raises InvalidContent where a limit of classes would be passed, UnknownLabels where new ones are refused."""
    names, at = list(sent.label_counts), f"{AT}/classes"
    limits.check_classes(names, model.classes, at)
    if new_classes is NewClasses.ALLOW:
        return
    places = {name: k for k, name in enumerate(names)}
    if (
        refused := unknown_labels(places, model.classes, model.name, f"To add new classes, {NEW_CLASSES_OF_FILE()}.")
    ) is not None:
        errors = [(pointer.replace("/labels", at, 1), sentence) for pointer, sentence in refused.errors]
        raise UnknownLabels(refused.detail, errors, **refused.members)
