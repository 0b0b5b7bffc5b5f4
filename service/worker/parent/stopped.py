"""Updates of numbers that the gate stopped one after another, on one base: what the next one is compared with."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import Outcome, UpdateKind, UpdateState, Verdict
from service.contract.reports.number_report import NumberReport
from service.learning.gate.numbers.number_gate import shows_a_move
from service.registry import batches, deployments, updates
from service.registry.sql.tables import Batch, Model, Update, Version
from service.remedies import LEARN, NAMED, PROMOTE, listed

LOOKED_BACK = 20
"""How many of the latest updates on a base are looked at."""


def stopped_before(session: Session, model: Model, update: Update) -> list[tuple[Update, NumberReport]]:
    """The updates since the last one on this base that the gate passed, which may show that the stream has moved;
    oldest first.

    None that a rule blames for itself, none with a batch that was taken back, and none whose rows came twice or are
    those of this update: one slip that is sent again agrees with itself. One that was learned again is no new evidence.
    """
    on_base = (Update.model_id == model.id) & (Update.base_version_id == update.base_version_id)
    learned = (Update.kind == UpdateKind.LEARN) & (Update.state == UpdateState.SUCCEEDED) & Update.challenges.is_(None)
    latest = select(Update).where(on_base, learned, Update.version_id.is_not(None), Update.id != update.id)
    stopped, seen = list[tuple[Update, NumberReport]](), _contents(session, update)
    for other in session.scalars(latest.order_by(Update.id.desc()).limit(LOOKED_BACK)):
        made = session.get_one(Version, other.version_id).report
        report = NumberReport.model_validate(made) if made is not None else None
        if report is not None and report.gate.outcome is Outcome.PASS:
            break
        contents = _contents(session, other)
        if report is None or not shows_a_move(report) or seen & contents or batches.taken_back(session, other):
            continue
        if updates.ordered_by(session, other) != deployments.BY_GATE:
            stopped.append((other, report))
            seen |= contents
    return stopped[::-1]


def learn_again(session: Session, model: Model, update: Update) -> None:
    """Queues the stopped updates that an update follows: they are judged once more, beside a stream that has moved."""
    for other, _ in stopped_before(session, model, update):
        if all(batches.is_whole(session.get_one(Batch, b)) for b in other.batches):
            order = replace(updates.order_of(session, other), expect=None)
            updates.enqueue(session, model, order, by=deployments.BY_GATE)


def still_waiting(session: Session, model: Model, update: Update) -> str:
    """A sentence behind a space: the batches that were stopped before an update, on its base, and how they are learned.
    "" where there are none, such as where the update brings them itself. Nobody is told to promote what is rejected."""
    stopped = stopped_before(session, model, update)
    ids = list(dict.fromkeys(batch for other, _ in stopped for batch in other.batches if batch not in update.batches))
    if not ids:
        return ""
    base = session.get_one(Version, update.base_version_id).number
    first, many = stopped[0][0], len(ids) > NAMED
    how = LEARN(model=model.name, batches='"pending"' if many else listed([*ids, *update.batches]))
    ways = f"learn all of them together ({how})"
    if first.verdict == Verdict.HELD:
        promote = PROMOTE(model=model.name, version=session.get_one(Version, first.version_id).number)
        ways = f"promote that first ({promote}), or {ways}"
    named = f"{len(ids)} batches were" if many else f"{' and '.join(ids)} {'were' if len(ids) > 1 else 'was'}"
    return (
        f" Before it {named} stopped, which version {base} has not learned, either: if what they say is right, {ways}."
    )


def _contents(session: Session, update: Update) -> set[str]:
    return {session.get_one(Batch, b).digest for b in update.batches}
