"""Reads from the database what the child needs to execute a claimed update."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from service.contract.enums import Retention, UpdateKind
from service.contract.inputs import ARCHITECTURE, PretrainedBackbone
from service.contract.number_policy import NumberPolicy
from service.contract.report import Report
from service.contract.tables import TableInput
from service.contract.targets import policy_of
from service.learning.auto import AutoParams
from service.learning.backbones import family
from service.learning.backbones.admission import check
from service.learning.evaluation.assessment import ages
from service.registry import batches, deployments, models, updates, versions
from service.registry.rows import ledger
from service.registry.sql.tables import Model, Update, Version
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.telemetry import logs, tracing
from service.worker.assignment import Assignment, Bits, Lineage, Places, Shard, Stored
from service.worker.parent.plan import Plan, planned
from service.worker.parent.stopped import stopped_before


def assignment(runtime: Runtime, session: Session, update: Update) -> Assignment | None:
    """The assignment of a claimed update; None where nothing is left to do."""
    model = session.get_one(Model, update.model_id)
    base = session.get(Version, update.base_version_id) if update.base_version_id is not None else None
    plan = planned(session, model, update, base)
    if plan is None:
        return None
    known = {*(base.learned if base else []), *(b for s in plan.steps for b in s.batches)}
    spec = models.input_of(model)
    every = batches.facts_of(session, model, *(["values"] if isinstance(spec, TableInput) else []))
    needed = [b for b in every if b.id in known]
    return Assignment(
        update=update.id,
        ids=dict(logs.ids_at_work()),
        traceparent=tracing.traceparent(),
        kind=UpdateKind(update.kind),
        places=places(runtime, model),
        input=spec,
        architecture=ARCHITECTURE.as_stored(model.architecture),
        target=(target := models.target_of(model)),
        policy=policy_of(target, model.gate),
        base=stored(base) if base else None,
        start=stored(plan.start) if plan.start and update.kind == UpdateKind.RETRACT else None,
        steps=plan.steps,
        removed=plan.removed,
        appeared={b.id: list(b.label_counts) for b in batches.by_id(session, plan.order)},
        rows={b.id: b.stored_digest for b in needed if b.stored_digest is not None},
        counts={b.id: b.rows for b in needed},
        kept={b.id: b.kept_rows for b in needed},
        **(_of_table(needed, every, plan, update, base) if isinstance(spec, TableInput) else {}),
        merged=[b.id for b in needed if b.merged is not None],
        sources={b.id: b.source for b in needed if b.source},
        weights=_weights(runtime, model, plan.start),
        entries={
            space: {batch_id: digest for batch_id, digest in of_space.items() if batch_id in known}
            for space, of_space in ledger.digests(session, model).items()
        },
        lineage=_lineage(session, model, update, plan.champion or base),
        retention=Retention(model.retention),
        expected=update.expect is not None,
        champion=stored(plan.champion) if plan.champion else None,
        budget_seconds=_budget(update),
        challenged_rows=_challenged_rows(session, model),
        wait_seconds=max(0.0, (update.started_at or 0.0) - update.created_at),
        device=update.device or runtime.settings.device,
        trainings=update.trainings,
        save_seconds=runtime.settings.save_seconds,
    )


def _of_table(
    needed: Sequence[Row[Any]], every: Sequence[Row[Any]], plan: Plan, update: Update, base: Version | None
) -> dict[str, Any]:
    """What the assignment says of values of categories: rows of each value in the batches that an update learns, or
    that a retraction leaves, and the vocabulary."""
    learns, named, removed = update.kind == UpdateKind.LEARN, set(update.batches), set(plan.removed)
    counted = (b for b in needed if b.values is not None and (b.id in named if learns else b.id not in removed))
    vocabulary = _vocabulary(every, set(base.learned), named) if base else {}
    return {"values": {batch.id: batch.values for batch in counted}, "vocabulary": vocabulary}


def _vocabulary(every: Sequence[Row[Any]], learned: set[str], brought: set[str]) -> dict[str, list[str]]:
    """Values of categories that any batch brought, of the columns in which an update brings some that were not learned:
    a report names what they look like."""
    new, old = _names(b for b in every if b.id in brought), _names(b for b in every if b.id in learned)
    columns = [column for column, values in new.items() if not values <= old.get(column, set())]
    known = _names(b for b in every if b.retracted_at is None) if columns else {}
    return {column: sorted(known.get(column, ())) for column in columns}


def _names(of: Iterable[Row[Any]]) -> dict[str, set[str]]:
    """The values of categories that batches have, by column."""
    names: dict[str, set[str]] = {}
    for batch in of:
        for column, counts in (batch.values or {}).items():
            names.setdefault(column, set()).update(counts)
    return names


def _weights(runtime: Runtime, model: Model, start: Version | None) -> dict[str, str]:
    """The file of the model's pretrained backbone, by name. Raises InvalidContent where it can no longer be used."""
    backbone = ARCHITECTURE.as_stored(model.architecture).backbone
    files = runtime.settings.weights
    if not isinstance(backbone, PretrainedBackbone):
        return {}
    check(models.input_of(model), backbone, files, weights=start is None)
    named = family(backbone.name).called(backbone.name)
    return {named: files[named]} if named in files else {}


def _budget(update: Update) -> float:
    """Seconds that a challenger may take, by the request that it came from."""
    if update.challenges is None or update.requested_method is None:
        return 0.0
    return AutoParams.model_validate({k: v for k, v in update.requested_method.items() if k != "name"}).budget_seconds


def _challenged_rows(session: Session, model: Model) -> int:
    """Rows that the last challenged version of the model learned."""
    champion = updates.last_challenged(session, model)
    return batches.left_of(session, champion.learned)[0] if champion else 0


def stored(version: Version) -> Stored:
    return Stored(
        number=version.number,
        layout=version.layout,
        shards=[Shard.model_validate(s) for s in version.shards],
        learned=version.learned,
    )


def places(runtime: Runtime, model: Model) -> Places:
    settings = runtime.settings
    return Places(
        store=settings.store_url,
        cache=str(settings.data / "cache"),
        cache_bytes=settings.cache_bytes,
        area=model_area(model.id),
        reserve_bytes=settings.reserve_bytes,
        crash_point=settings.crash_point,
    )


def _lineage(session: Session, model: Model, update: Update, base: Version | None) -> Lineage:
    """What the gate compares with, newest last: answers of promoted versions, best accuracies, evidence of batches."""
    if base is None:
        return Lineage()
    policy = policy_of(models.target_of(model), model.gate)
    if isinstance(policy, NumberPolicy):
        return Lineage(
            bits=_remembered(session, model, max(policy.slow_loss.versions, policy.recent_batches)),
            stopped=[report.batch.figures for _, report in stopped_before(session, model, update)],
        )
    return Lineage(
        bits=_remembered(session, model, policy.slow_loss.versions),
        best_masked=Report.model_validate(base.report).old_classes.best_masked if base.report else {},
        evidence=versions.evidence(session, base, policy.contradicts_class.pooled_batches - 1),
    )


def _remembered(session: Session, model: Model, last: int) -> list[Bits]:
    """What promoted versions of spaced ages, and the last one that a person promoted, left behind; oldest first."""
    standing = versions.promoted(session, model)
    by_person = versions.promoted_by_person(session, model, (deployments.BY_GATE, deployments.BY_ORDER))
    positions = {age - 1 for age in ages(last, len(standing))} | {k for k, v in enumerate(standing) if v == by_person}
    chosen = [standing[k] for k in sorted(positions, reverse=True)]
    return [Bits(version=number, digest=digest) for number, digest in versions.bits(session, chosen)]
