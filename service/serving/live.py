"""Which version answers: a table in memory, changed by one assignment after the new version is loaded and warm.

The database says which version is live; every assignment reads it again under one lock, so that two who moved the
pointer one after the other cannot leave the earlier version in the table.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from service.contract.inputs import InputSpec
from service.errors import CorruptArtifact, NotFound, NotLive
from service.registry import models, versions
from service.registry.database import Database
from service.registry.tables import Model, Version
from service.serving.predictor import Predictor, load
from service.storage.artifacts import SHARDS, Artifacts

log = logging.getLogger("tsuika.serving")

KEPT_WARM = 8
"""Versions that stay loaded besides the live ones."""
TRY_AGAIN_SECONDS = 5.0
"""After a version could not be loaded."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A version that is ready to answer. `fingerprint` tells two versions apart that were to get the same number."""

    model_id: int
    model: str
    number: int
    fingerprint: str
    predictor: Predictor

    @property
    def input(self) -> InputSpec:
        """What a row of it looks like."""
        return self.predictor.input


class LiveModels:
    """The routing table of a process. Looking up a loaded version takes no lock and does no I/O."""

    def __init__(self, database: Database, store: Artifacts) -> None:
        self._database, self._store = database, store
        self._table: dict[str, Loaded] = {}
        self._warm: OrderedDict[tuple[str, int], Loaded] = OrderedDict()
        self._moving = threading.Lock()
        self._warming = threading.Lock()
        self._keeping = threading.Lock()
        self._failed: dict[tuple[str, int], tuple[float, str]] = {}

    def find(self, name: str, number: int | None = None) -> Loaded | None:
        """The live version, or version `number`, if it is loaded."""
        live = self._table.get(name)
        if number is None or (live is not None and live.number == number):
            return live
        return self._warm.get((name, number))

    def get(self, name: str) -> Loaded:
        """The live version, loaded if need be. Raises NotFound, NotLive, CorruptArtifact."""
        if (loaded := self._table.get(name)) is not None:
            return loaded
        with self._database.reading() as session:
            model = models.get(session, name)
            version, made = models.live(session, model), versions.next_number(session, model) - 1
        if version is None and made:
            raise NotLive(
                f"{name} has no live version yet; version {made} was made and waits. Look at its report, then POST "
                f'{{"version": {made}}} to /v1/models/{name}/deployments.'
            )
        if version is None:
            raise NotLive(f"{name} has no live version yet. POST an update to /v1/models/{name}/updates first.")
        self._assign(self._load(name, version))
        return self._table.get(name) or self.get(name)

    def at(self, name: str, number: int) -> Loaded:
        """Version `number`, loaded if need be. Raises NotFound, Erased, CorruptArtifact."""
        if (loaded := self.find(name, number)) is not None:
            return loaded
        with self._database.reading() as session:
            version = versions.present(session, models.get(session, name), number)
        return self._keep(self._load(name, version))

    def prepare(
        self, model_id: int, name: str, number: int, layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
    ) -> Loaded:
        """A version loaded, verified and warm, before its swap; it may not be committed yet. Raises CorruptArtifact."""
        fingerprint = json.dumps([layout, [(s["part"], s["digest"]) for s in shards]], sort_keys=True)
        known = self.find(name, number)
        if known is not None and known.fingerprint == fingerprint:
            return known
        with self._warming:
            live = self._table.get(name)
            like = live.predictor if live is not None else None
            predictor = load(layout, shards, lambda digest: self._store.get(SHARDS, digest), like)
        return Loaded(model_id, name, number, fingerprint, predictor)

    def swap(self, loaded: Loaded) -> None:
        """From now on this version answers, unless the pointer has moved on since; the one before stays warm."""
        self._assign(loaded)

    def serving_version(self, name: str) -> int | None:
        """The number of the version that answers here."""
        loaded = self._table.get(name)
        return loaded.number if loaded else None

    def refresh(self) -> None:
        """Follow what others moved: load and swap, drop archived models and erased versions."""
        with self._database.reading() as session:
            query = select(Model.name, Version).join(Version, Model.live_version_id == Version.id)
            live = dict(session.execute(query.where(Model.archived_at.is_(None))).all())
            warm = {(k.model_id, k.number) for k in list(self._warm.values())}
            erased = select(Version.model_id, Version.number).where(
                Version.erased_at.is_not(None), Version.model_id.in_({model_id for model_id, _ in warm})
            )
            gone = [(m, n) for m, n in session.execute(erased) if (m, n) in warm] if warm else []
        for model_id, number in gone:
            self.drop_versions(model_id, [number])
        for name in [n for n in self._table if n not in live]:
            self.drop_model(name)
        for name, version in live.items():
            if self.serving_version(name) != version.number:
                self._follow(name, version)
        self._failed = {k: v for k, v in self._failed.items() if k[0] in live and live[k[0]].number == k[1]}

    def troubles(self) -> dict[str, str]:
        """Models whose live version cannot be loaded, and why; the version before answers, where there is one."""
        return {name: why for (name, _), (_, why) in self._failed.items()}

    def drop_versions(self, model_id: int, numbers: Collection[int]) -> None:
        """Forget warm versions: their bytes were erased."""
        for key, loaded in list(self._warm.items()):
            if loaded.model_id == model_id and loaded.number in numbers:
                self._warm.pop(key, None)

    def drop_model(self, name: str) -> None:
        """Forget a model that was archived."""
        self._table.pop(name, None)
        for key in [k for k in list(self._warm) if k[0] == name]:
            self._warm.pop(key, None)

    def _follow(self, name: str, version: Version) -> None:
        key = (name, version.number)
        if key in self._failed and self._failed[key][0] > time.monotonic():
            return
        try:
            self._assign(self._load(name, version))
        except (CorruptArtifact, OSError) as error:
            told = error.detail if isinstance(error, CorruptArtifact) else str(error)
            self._failed[key] = (time.monotonic() + TRY_AGAIN_SECONDS, f"Version {version.number}: {told}")
            log.error("%s: version %d cannot be loaded and is not served: %s", name, version.number, told)
        else:
            self._failed.pop(key, None)

    def _load(self, name: str, version: Version) -> Loaded:
        return self.prepare(version.model_id, name, version.number, version.layout, version.shards)

    def _assign(self, loaded: Loaded) -> None:
        """The one place that changes the table: only to what the database says at this moment."""
        with self._moving, self._database.reading() as session:
            try:
                live = models.live(session, models.get(session, loaded.model))
            except NotFound:
                self.drop_model(loaded.model)
                return
            if live is None or live.number != loaded.number:
                self._keep(loaded)
                return
            before = self._table.get(loaded.model)
            self._table[loaded.model] = loaded
            if before is not None and before.number != loaded.number:
                self._keep(before)
                log.info("%s answers with version %d", loaded.model, loaded.number)

    def _keep(self, loaded: Loaded) -> Loaded:
        with self._keeping:
            self._warm[loaded.model, loaded.number] = loaded
            self._warm.move_to_end((loaded.model, loaded.number))
            while len(self._warm) > KEPT_WARM:
                self._warm.popitem(last=False)
        return loaded
