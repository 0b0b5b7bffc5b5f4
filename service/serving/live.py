"""Which version answers: a table in memory, changed by one assignment after the new version is loaded and warm.

The database says which version is live. Every assignment reads it again under one lock, so that two who moved the
pointer one after the other cannot leave the earlier version in the table. A version is loaded when it is first asked
for, or before it goes live here; what nobody asks for costs a line of the pointers.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection

from service.errors import CorruptArtifact, NotFound, NotLive
from service.registry import aliases, loadable
from service.registry.loadable import Recipe
from service.registry.sql.database import Database, Marks
from service.serving.loaded_versions import Key, Loaded, Shelf
from service.serving.loader import Loading, fingerprint
from service.serving.pointers import Pointing
from service.storage.artifacts import Artifacts

log = logging.getLogger("tsuika.serving")

TRY_AGAIN_SECONDS = 5.0
"""After a version could not be loaded."""


class LiveModels:
    """The routing table of a process. Looking up a loaded version takes no lock and does no I/O.

    most_bytes: memory of loaded versions; beyond it those that were not asked for the longest are let go.
    after_load: called in the thread that put a version into the table.
    """

    def __init__(self, database: Database, store: Artifacts, most_bytes: int) -> None:
        self._database = database
        self._pointing = Pointing(database)
        self._shelf = Shelf(most_bytes, self._pointing.pinned)
        self._loading = Loading(store, self._shelf)
        self._asking = threading.Lock()
        self._asked: dict[tuple[str, int | None], Future[Loaded]] = {}
        self.after_load: Callable[[], None] = lambda: None
        self._failed: dict[Key, tuple[float, str]] = {}
        self._followed: int | None = None

    def find(self, name: str, number: int | None = None) -> Loaded | None:
        """The live version, or version `number`, if it is loaded."""
        return self._shelf.find(name, number)

    def ready(self, name: str, text: str | None = None) -> Loaded | None:
        """The version that a path names by number or alias, or the live one, if it is loaded. Raises NotFound,
        NotLive."""
        if text is None or text == aliases.LIVE:
            return self.find(name)
        number = self._pointing.number(name, text)
        return None if number is None else self.find(name, number)

    async def asked(self, name: str, text: str | None = None) -> Loaded:
        """The same, loaded if need be, off the event loop. Raises NotFound, NotLive, Erased, CorruptArtifact."""
        if (loaded := self.ready(name, text)) is not None:
            return loaded
        number = None
        if text is not None and text != aliases.LIVE:
            number = self._pointing.number(name, text)
            if number is None:
                number = await asyncio.to_thread(lambda: self._pointing.look(name).number(name, text))
        # a sender that goes away must not cancel what others wait for, too
        return await asyncio.shield(asyncio.wrap_future(self._wanted(name, number)))

    def _wanted(self, name: str, number: int | None) -> Future[Loaded]:
        """The live version, or version `number`, soon: loaded in a thread, once for all who ask meanwhile."""
        with self._asking:
            waiting = self._asked.get((name, number))
            if waiting is None:
                waiting = self._asked[name, number] = self._loading.for_first_asked(self._first_asked, name, number)
        return waiting

    def get(self, name: str) -> Loaded:
        """The live version, loaded if need be. Raises NotFound, NotLive, CorruptArtifact."""
        return self.find(name) or self._wanted(name, None).result()

    def at(self, name: str, number: int) -> Loaded:
        """Version `number`, loaded if need be. Raises NotFound, Erased, CorruptArtifact."""
        return self.find(name, number) or self._wanted(name, number).result()

    def prepare(
        self, model_id: int, name: str, number: int, layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
    ) -> Loaded:
        """A version loaded, verified and warm, before its swap; it may not be committed yet. Raises CorruptArtifact."""
        return self._loading.for_swap(self._loading.load, model_id, name, number, layout, shards).result()

    def known(self, name: str, number: int, version_id: int) -> Loaded | None:
        """The version of a row of the database, if it is loaded and known to be that one."""
        loaded = self.find(name, number)
        return loaded if loaded is not None and loaded.version_id == version_id else None

    def swap(self, loaded: Loaded, marks: Marks | None = None) -> None:
        """From now on this version answers, unless the pointer has moved on since; the one before stays loaded.

        `marks`: of the commit that moved the pointer, and did nothing else that is to be followed."""
        new = self.find(loaded.model, loaded.number) is not loaded
        self._assign(loaded)
        if marks is not None and self._followed == marks[0]:
            self._followed = marks[1]
        if new:
            self.after_load()

    def serving_version(self, name: str) -> int | None:
        """The number of the version that answers here, or would when it is asked."""
        answering, live = self._shelf.answering(name), self._pointing.live(name)
        return answering or (None if (name, live) in self._failed else live)

    @property
    def up_to_date(self) -> bool:
        """Whether nobody has committed anything since the last look, and all was loaded then. It may be asked on the
        event loop: it takes microseconds."""
        return not self._failed and self._database.mark() == self._followed

    def refresh(self) -> None:
        """Follow what others moved: read the pointers, drop archived models and erased versions, load what went live of
        models that are loaded. Costs next to nothing while nobody commits."""
        mark = self._database.mark()
        if mark != self._followed:
            with self._pointing.looking() as reader:
                self._pointing.read_all(reader)
                self._drop_erased(reader)
            self._shelf.drop(lambda loaded: not self._pointing.knows(loaded.model))
        for key in [(name, number) for name, number in list(self._failed) if number != self._pointing.live(name)]:
            self._failed.pop(key, None)
        behind = [name for name, number in self._shelf.table().items() if number != self._pointing.live(name)]
        for name in dict.fromkeys([*behind, *(name for name, _ in list(self._failed))]):
            self._follow(name)
        self._followed = mark

    def moved(self, name: str) -> None:
        """The names of a model point elsewhere since a moment: told by whoever moved them here."""
        self._pointing.look(name)

    def troubles(self) -> dict[str, str]:
        """Models whose live version cannot be loaded, and why; the version before answers, where it is loaded."""
        return {name: why for (name, _), (_, why) in self._failed.items()}

    def drop_versions(self, model_id: int, numbers: Collection[int]) -> None:
        """Forget loaded versions: their bytes were erased."""
        self._shelf.drop(lambda loaded: loaded.model_id == model_id and loaded.number in numbers)

    def drop_model(self, name: str) -> None:
        """Forget a model that was archived."""
        self._pointing.drop(name)
        self._shelf.drop(lambda loaded: loaded.model == name)

    def close(self) -> None:
        """Load no more."""
        self._loading.close()

    def _first_asked(self, name: str, number: int | None) -> Loaded:
        """Load it, in the thread of the loader."""
        try:
            while True:
                if (loaded := self.find(name, number)) is not None:
                    return loaded
                if number is None:
                    loaded, answers = self._loaded_live(name)
                else:
                    loaded, answers = self._load(name, self._recipe(name, number)), True
                    self._assign(loaded)
                self.after_load()
                if answers:  # else the pointer moved while it was loaded
                    return loaded
        finally:
            with self._asking:
                del self._asked[name, number]

    def _recipe(self, name: str, number: int | None) -> Recipe:
        with self._database.looking() as reader:
            found = loadable.live(reader, name) if number is None else loadable.numbered(reader, name, number)
        if found is not None:
            return found
        with self._database.reading() as session:
            raise loadable.refusal(session, name, number)

    def _drop_erased(self, reader: Connection) -> None:
        if self._shelf.loaded():
            gone = loadable.erased(reader)
            self._shelf.drop(lambda v: (v.model_id, v.number) in gone)

    def _follow(self, name: str) -> None:
        """Load what is live now, but not at once again where that failed; the version before answers meanwhile."""
        failed = self._failed.get((name, self._pointing.live(name) or 0))
        if failed is not None and failed[0] > time.monotonic():
            return
        try:
            self._loading.for_swap(self._loaded_live, name).result()
            self.after_load()
        except CorruptArtifact:
            pass  # `troubles` tells of it
        except (NotFound, NotLive):
            self._shelf.drop(lambda loaded: loaded.model == name)

    def _loaded_live(self, name: str) -> tuple[Loaded, bool]:
        """The live version, and whether it answers: another one may be live by now.

        Raises NotFound, NotLive; CorruptArtifact, which `troubles` tells from then on.
        """
        version = self._recipe(name, None)
        key = (name, version.number)
        try:
            loaded = self._load(name, version)
        except CorruptArtifact as error:
            self._failed[key] = (time.monotonic() + TRY_AGAIN_SECONDS, f"Version {version.number}: {error.detail}")
            why = error.__cause__
            told = "%s: version %d cannot be loaded and is not served: %s"
            log.error(told, name, version.number, error.detail, exc_info=why)
            raise
        self._failed.pop(key, None)
        return loaded, self._assign(loaded)

    def _load(self, name: str, version: Recipe) -> Loaded:
        if (known := self.known(name, version.number, version.id)) is not None:
            return known
        loaded = self._loading.load(version.model_id, name, version.number, version.layout, version.shards)
        loaded.version_id = version.id
        return loaded

    def _assign(self, loaded: Loaded) -> bool:
        """The one place that changes the table: only to what the database says at this moment. -> whether it answers"""
        with self._pointing.looking() as reader:
            try:
                live = self._pointing.read(reader, loaded.model).live
            except NotFound:
                return False
            if not self._stands(reader, loaded):
                return False
            before, answers = self._shelf.answering(loaded.model), live == loaded.number
            self._shelf.keep(loaded, answers)
        if answers and before not in (None, loaded.number):
            log.info("%s answers with version %d", loaded.model, loaded.number)
        return answers

    def _stands(self, reader: Connection, loaded: Loaded) -> bool:
        """Whether it is that version of the model, and there. What was prepared before its row was committed learns
        here which row that is, for another one may have got the number."""
        if loaded.version_id is not None:
            return loadable.is_there(reader, loaded.version_id)
        row = loadable.numbered(reader, loaded.model, loaded.number)
        if row is None or fingerprint(row.layout, row.shards) != loaded.fingerprint:
            return False
        loaded.version_id = row.id
        return True
