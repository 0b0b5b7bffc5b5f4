"""Reads from the database what the child needs to execute a claimed update."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.contract.enums import Retention, UpdateKind
from service.contract.inputs import ARCHITECTURE, IdentityBackbone, PretrainedBackbone
from service.contract.tables import TableInput
from service.contract.targets import policy_of
from service.learning.auto.choice import AutoParams
from service.learning.backbones import family
from service.learning.backbones.admission import check
from service.learning.methods import METHODS
from service.learning.network.checkpoint import LAYOUT
from service.registry import batches, models, updates
from service.registry.rows import ledger
from service.registry.sql.tables import Model, Update, Version
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.telemetry import logs, tracing
from service.worker.assignment import Assignment, BatchFacts, Lineage, Places, Shard, Stored
from service.worker.parent.kinds import kind_of
from service.worker.parent.plan import Plan, batches_of, planned

LATEST = 256
"""Batches of the base, the newest, of which a brief assignment has facts: the cache lacks seven at most, and where each
counts 0.99 of the next, the 229th counts a tenth. To make, write and read an assignment of 10,000 batches takes 11 ms
of a core with the latest 256, 9 with 64 and 19 with 1,024."""


def assignment(runtime: Runtime, session: Session, update: Update, brief: bool = False) -> Assignment | None:
    """The assignment of a claimed update; None where nothing is left to do. `brief`: for a child that can ask for the
    others, it tells of the latest batches alone where it learns on a base."""
    model = session.get_one(Model, update.model_id)
    base = session.get(Version, update.base_version_id) if update.base_version_id is not None else None
    plan = planned(session, model, update, base)
    if plan is None:
        return None
    brief = brief and base is not None and update.kind == UpdateKind.LEARN and plan.champion is None
    known = base.learned if base is not None else ()
    needed = [*(known[-LATEST:] if brief else known), *batches_of(plan.steps)]
    spec, compared = models.input_of(model), plan.champion or base
    return Assignment(
        **dict(_facts(session, needed)),
        brief=brief,
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
        known=batches.rows_learned(session, base) if base else None,
        entered=ledger.whole(session, base) if base else [],
        start=stored(plan.start) if plan.start and update.kind == UpdateKind.RETRACT else None,
        steps=plan.steps,
        removed=plan.removed,
        appeared={b.id: list(b.label_counts) for b in batches.by_id(session, plan.order)},
        **(_of_table(session, model, plan, update, base) if isinstance(spec, TableInput) else {}),
        weights=_weights(runtime, model, plan.start),
        lineage=kind_of(model).lineage(session, model, update, compared) if compared is not None else Lineage(),
        retention=Retention(model.retention),
        expected=update.expect is not None,
        champion=stored(plan.champion) if plan.champion else None,
        budget_seconds=_budget(update),
        challenged_rows=_challenged_rows(session, model),
        wait_seconds=max(0.0, (update.started_at or 0.0) - update.created_at),
        device=_device(runtime, model, update, base, plan),
        trainings=update.trainings,
        save_seconds=runtime.settings.save_seconds,
    )


def _device(runtime: Runtime, model: Model, update: Update, base: Version | None, plan: Plan) -> str:
    """Where the update is computed. On a cluster one that neither trains nor asks a backbone takes no GPU from others:
    an exact head over the inputs gains nothing there, and is computed on a CPU."""
    asked = update.device or runtime.settings.device
    if runtime.settings.ray is None or any(_trains(step.method) for step in plan.steps):
        return asked
    backbones = [ARCHITECTURE.as_stored(model.architecture).backbone]
    backbones += [LAYOUT.as_stored(version.layout).backbone for version in (base, plan.start) if version is not None]
    return "cpu" if all(isinstance(each, IdentityBackbone) for each in backbones) else asked


def _trains(method: Mapping[str, Any]) -> bool:
    """Whether it moves more than an exact head. `auto` does so only where there is a backbone to train."""
    named = METHODS.get(str(method["name"]))
    return named is not None and named.moves != ("head",)


def history(runtime: Runtime, brief: Assignment) -> BatchFacts:
    """The facts of all batches: the answer to a child that asks for those which its assignment lacks."""
    base = brief.base.learned if brief.base is not None else []
    with runtime.database.reading() as session:
        return _facts(session, [*base, *batches_of(brief.steps)])


def _facts(session: Session, ids: Collection[str]) -> BatchFacts:
    facts = batches.facts_of(session, ids)
    return BatchFacts(
        rows={b.id: b.stored_digest for b in facts if b.stored_digest is not None},
        counts={b.id: b.rows for b in facts},
        kept={b.id: b.kept_rows for b in facts},
        merged=[b.id for b in facts if b.merged is not None],
        sources={b.id: b.source for b in facts if b.source},
        entries=ledger.digests(session, ids),
    )


def _of_table(session: Session, model: Model, plan: Plan, update: Update, base: Version | None) -> dict[str, Any]:
    """What the assignment says of values of categories: rows of each value in the batches that an update learns, or
    that a retraction leaves, and the vocabulary."""
    steps, learns = batches_of(plan.steps), update.kind == UpdateKind.LEARN
    counted = steps if learns else {*(base.learned if base else ()), *steps}.difference(plan.removed)
    vocabulary = _vocabulary(session, model, base, update.batches) if base else {}
    return {"values": batches.values_of(session, counted), "vocabulary": vocabulary}


def _vocabulary(session: Session, model: Model, base: Version, brought: Collection[str]) -> dict[str, list[str]]:
    """Values of categories that any batch brought, of the columns in which an update brings some that were not learned:
    a report names what they look like."""
    new = batches.known_values(session, model, of=frozenset(brought))
    old = batches.known_values(session, model, new, frozenset(base.learned))
    columns = [column for column, names in new.items() if not names <= old[column]]
    known = batches.known_values(session, model) if columns else {}
    return {column: sorted(known.get(column, ())) for column in columns}


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
    return batches.rows_learned(session, champion).brought if champion else 0


def stored(version: Version) -> Stored:
    return Stored(
        number=version.number,
        layout=version.layout,
        shards=[Shard.model_validate(s) for s in version.shards],
        learned=list(version.learned),
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
