"""Routes of rows that may be wrong, and of corrections: a batch with other labels or targets takes the place of one."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from service.api.bodies import corrected_rows
from service.api.bodies.row_bodies import due_of
from service.api.context import Context, Page, Shared, Wait, answer, attempt, body_of, caller
from service.api.idempotent_posts import Act, Done, Effect
from service.api.openapi import KEY, refusals, takes
from service.api.reader.kinds.kind import Rights
from service.api.reader.store_rows import folds_of, label_counts
from service.api.routes.retractions import check_rows
from service.api.routes.updates import ORDERS, announce, answer_update
from service.contract import requests, resources
from service.contract.enums import UpdateKind, UpdateState
from service.contract.inputs import InputSpec
from service.contract.reports import AnySuspect
from service.contract.targets.kind import TargetKind
from service.errors import Conflict, Erased, InvalidContent
from service.intake.near import near_matches
from service.learning.data.batch_sketch import sketch_of
from service.learning.data.rows import EXAM_ROWS, LEARNING_ROWS, NUMBER_EXAM_ROWS, Rows
from service.learning.data.serialization import pack_rows, unpack_batch
from service.registry import batches, models, states, updates
from service.registry.callers import quotas
from service.registry.rows import same_rows
from service.registry.rows.arrival import Arrival
from service.registry.sql.tables import Batch, Model, Update, Version
from service.registry.updates import Order
from service.remedies import CORRECT, DECLARE
from service.storage.artifacts import model_area, read_twice
from service.upkeep.named_files import Name

routes = APIRouter(tags=["updates"])

SUSPECTS = TypeAdapter(list[AnySuspect])
"""Reads suspect rows of a stored report."""

LARGEST_BYTES = 64 * 2**20
"""Of a stored batch that is corrected: it is read, and written anew, by the process that serves."""


@routes.get(
    "/v1/models/{model}/batches/{batch}/suspects", response_model=resources.Suspects, responses=refusals(404, 409, 410)
)
def list_suspects(shared: Shared, page: Page, model: str, batch: str) -> Response:
    """Rows that most likely carry a wrong label, the likeliest first, or a target far from what was expected, the
    largest error first (of several numbers a row: beside what is usual of each). They are of the report of the last
    version that learned the batch and lists rows of it, of those that went live if any did, at most 100 of an
    update. `POST .../corrections` gives them other labels or targets, or takes them out."""
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        sent = batches.get(session, record, batch)
        if sent.erased_at is not None:
            raise Erased(f"The rows of batch {batch} were erased, and with them which of them were suspect.")
        if sent.merged is not None:
            raise Conflict(
                f"Batch {batch} is a merged ledger: its rows are elsewhere, and none of them was looked at here."
            )
        target = models.target_of(record)
        judged = batches.judged_by(session, record, sent)
        of_each = [(v, (v.report or {})["batch"][target.suspects]) for v in judged]
        listed = {v: [row for row in named if row["batch"] == batch] for v, named in of_each}
        version = next((v for v in judged if listed[v]), judged[0] if judged else None)
        update = None if version is None else session.get_one(Update, version.update_id)
        method = None if update is None else update.method
        replaced = sent.corrects if update is not None and update.kind == UpdateKind.RETRACT else None
    if version is None or method is None:
        note = "No version that is still there has learned this batch: order an update, and ask again."
        return answer(resources.Suspects(items=[], version=None, note=note))
    rows, note = listed[version], _how_judged(version, method["name"], replaced, target)
    if version is not judged[0]:
        note += f" Version {judged[0].number} learned the batch later and names no row of it."
    remedy = f"To give rows other {target.member}, or take them out: {CORRECT(model=model, batch=batch)}."
    cursor = page.cursor or "0"
    if not cursor.isdigit():
        raise InvalidContent.at("/cursor", "The cursor is not one that a page of this list gave.")
    first, after = int(cursor), int(cursor) + page.limit
    return answer(
        resources.Suspects(
            items=SUSPECTS.validate_python(rows[first:after]),
            next_cursor=str(after) if after < len(rows) else None,
            version=version.number,
            note=f"{note} {remedy}",
            remedy=remedy,
        )
    )


def _how_judged(version: Version, method: str, replaced: str | None, target: TargetKind) -> str:
    """What the suspect rows of a report were judged by. replaced: the batch in whose place this one was learned."""
    if not target.has_classes and replaced is None:
        return (
            f"Each target stands beside what the version before {version.number} expected; of a first version "
            f"beside what {method} answers from other rows."
        )
    if version.layout.get("exact"):
        most = f"{EXAM_ROWS} rows of each class" if target.has_classes else f"{NUMBER_EXAM_ROWS} rows of each source"
        before = " The version before it, where there was one, judged all rows of classes that it knew."
        return (
            f"Version {version.number} ({method}) judged at most {most}, each by a head that had learned others: "
            "neither the row nor its copies, its group and its fifth of all rows."
            + (before if replaced is None else "")
        )
    if replaced is not None:
        return (
            f"Version {version.number} ({method}) learned this batch in the place of {replaced} and judged none of its "
            "rows; those of that batch are listed there, and the numbers of the rows are the same."
        )
    return (
        f"{method} trains on rows, so version {version.number} judges by itself those alone that test it; the "
        "others were judged by the version before it, where there was one. ridge and lda judge others, too."
    )


@routes.post(
    "/v1/models/{model}/batches/{batch}/corrections",
    openapi_extra=takes(
        requests.CreateCorrection, KEY, example={"rows": {"17": "cat", "41": None}, "reason": "looked at again"}
    ),
    **ORDERS,
)
async def create_correction(request: Request, shared: Shared, model: str, batch: str, wait: Wait) -> Response:
    """Give rows of a batch other labels or targets, or take them out. The batch is taken back, and a new one with the
    corrected rows (`corrects`) is learned in its place, in one version. One that the live version has not learned is
    replaced likewise; the gate judges the new one as any other."""
    done = await run_in_threadpool(_order, request, shared, model, batch)
    return await answer_update(request, shared, done, wait)


def _order(request: Request, shared: Context, name: str, batch_id: str) -> Done:
    order, body = body_of(request, requests.CreateCorrection)
    with shared.runtime.database.reading() as session:
        due = due_of(session, models.get(session, name))
    rights = due.kind.read_rights(order.rows)
    store, by = shared.runtime.store, caller(request)

    def read() -> tuple[Batch, str, dict[str, int], bytes, bytes]:
        with shared.runtime.database.reading() as session:
            model, old = _correctable(session, name, batch_id, rights)
            area, digest = model_area(model.id), old.stored_digest
            names = [*old.folds, *(right[0] for right in rights.values() if right)]
            held = batches.learning_rows(session, model, list(dict.fromkeys(names)), LEARNING_ROWS, old.id)
            secret = models.installation_secret(session)
        assert digest is not None
        return old, area, held, secret, store.get(area, digest)

    def begin(stored: set[Name]) -> Act:
        old, area, held, secret, data = read_twice(read)
        rows, unlabelled = unpack_batch(data)
        corrected_rows.check(rows, rights, due, batch_id)
        new = batches.new_batch_id()
        rows = corrected_rows.corrected(rows, rights, new, held)
        packed = pack_rows(rows, unlabelled)
        arrival = _arrival(rows, old, due.input, store.put(area, packed), len(packed), secret)
        stored.add((area, arrival.stored_digest))

        def act(session: Session) -> Effect:
            model, old = _correctable(session, name, batch_id, rights)
            accepted, _ = batches.accept(session, model, arrival)
            quotas.require_room(session, model, shared.runtime.settings)
            quotas.require_turn(session, model, shared.runtime.settings)
            accepted.corrects = old.id
            batches.retract(session, model, old, order.reason)
            reason, made = order.reason or None, _correction(old, accepted, rights)
            if old.in_live:
                due = Order(UpdateKind.RETRACT, [old.id], reason=reason, adds=[accepted.id], corrected=made)
            else:  # nothing has to be taken out of what is live, and nothing will learn the old batch any more
                due = Order(UpdateKind.LEARN, [accepted.id], reason=reason, corrected=made)
                states.settle(session, model.id, [old.id])
            update = updates.enqueue(session, model, due, by)
            return Effect(202, {"update": update.id}, lambda: announce(shared))

        return act

    return shared.posts.run(attempt(request, body.members), begin, brings=True)


def _correction(old: Batch, new: Batch, rights: Rights) -> resources.Correction:
    taken_out = sum(right is None for right in rights.values())
    return resources.Correction(batch=old.id, by=new.id, changed=len(rights) - taken_out, taken_out=taken_out)


def _correctable(session: Session, name: str, batch_id: str, rights: Rights) -> tuple[Model, Batch]:
    """The model and the batch, if its rows can be corrected. Raises NotFound, Conflict, InvalidContent."""
    model = models.get(session, name)
    batch = batches.get(session, model, batch_id)
    if batch.retracted_at is not None:
        if new := same_rows.in_place_of(session, batch):
            raise Conflict(
                f"Batch {batch.id} was corrected already: batch {new.id} has its rows. Correct that one.", batch=new.id
            )
        raise Conflict(f"Batch {batch.id} was taken back already. Send the corrected rows as a new batch.")
    _check_learned(session, batch)
    batches.require_whole(session, model, batch)
    if batch.stored_digest is None or batch.bytes > LARGEST_BYTES:
        raise Conflict(
            f"Batch {batch.id} is too large to be corrected here: send the corrected rows, and take it back."
        )
    if batch.in_live:
        check_rows(session, model, [batch.id])
    for row, (label, _) in ((row, right) for row, right in rights.items() if right):
        if label and label not in model.classes:
            near = near_matches([label], model.classes)[label]
            like = f" Is it {near[0]!r}?" if near else ""
            raise InvalidContent.at(
                f"/rows/{row}",
                f'"{label}" is not a class of {name}.{like} If it is a new one: {DECLARE(model=name, name=label)}.',
            )
    return model, batch


def _check_learned(session: Session, batch: Batch) -> None:
    """Raises Conflict while an update is to learn a batch in the place of another: it would take that one out of what
    is live, and find this one taken back, too."""
    if (order := updates.bringing(session, batch.id)) is None:
        return
    waits = f"Update {order.id}, which learns batch {batch.id} in the place of {batch.corrects},"
    if order.state == UpdateState.FAILED:
        why = f"{waits} failed. Retry that update, and correct the batch once it has ended."
    else:
        why = (
            f"{waits} has not ended. Correct the batch once it has, or cancel that update and correct {batch.corrects}."
        )
    raise Conflict(why, update=order.id)


def _arrival(rows: Rows, old: Batch, spec: InputSpec, stored_digest: str, size: int, secret: bytes) -> Arrival:
    annotations = corrected_rows.annotations_of(rows)
    return Arrival(
        id=rows.batches[0],
        digest=annotations.digest(rows.inputs),
        stored_digest=stored_digest,
        bytes=size,
        rows=len(rows),
        unlabelled=old.unlabelled,
        target_summary=annotations.target_summary(),
        label_counts=label_counts(rows),
        folds=folds_of(rows),
        lent=rows.row[rows.lent].tolist(),
        source=old.source,
        again=True,
        values=corrected_rows.values_of(rows, old.values, spec),
        sketch=sketch_of(rows, secret),
    )
