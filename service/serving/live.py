"""The routing table of a process: which version of each model answers.

The database says which version is live. Every assignment to the table reads it again under one lock, so that two
promotions one after the other cannot leave the earlier version in the table. A version is loaded at its first request,
or before it goes live here; a model without requests costs one entry of the pointer table.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection

from service.contract.body_limits import BodyLimits
from service.errors import CorruptArtifact, NotFound, NotLive, StoreAway
from service.registry import aliases, loadable
from service.registry.loadable import Recipe
from service.registry.sql.database import Database, Marks, Reader
from service.serving.loaded_versions import Key, Loaded, LoadedVersions
from service.serving.loader import Loader, fingerprint
from service.serving.pointers import PointerTable
from service.storage.artifacts import Store, read_twice
from service.telemetry.metrics import NAMED, OTHER, Family, Sample, gauge

log = logging.getLogger("tsuika.serving")

TRY_AGAIN_SECONDS = 5.0
"""Wait before a version that could not be loaded is tried again."""


class LiveModels:
    """Loaded versions by name. Looking one up takes no lock and does no I/O.

    most_bytes: memory of loaded versions; beyond it the least recently used are evicted.
    limits: what a body of rows for a version may bring.
    after_load: called in the thread that put a version into the table.
    """

    def __init__(self, database: Database, store: Store, most_bytes: int, limits: BodyLimits) -> None:
        self._database = database
        self._table = PointerTable(database)
        self._versions = LoadedVersions(most_bytes, self._table.pinned)
        self._loader = Loader(store, self._versions, self._table, limits)
        self._store, self._gone = store, set[tuple[int, int]]()
        """The store, and the erased versions as of the last refresh."""
        self._requests_lock = threading.Lock()
        self._requests: dict[tuple[str, int | None], Future[Loaded]] = {}
        self.after_load: Callable[[], None] = lambda: None
        self._failed: dict[Key, tuple[float, str]] = {}
        self._followed: int | None = None

    def find(self, name: str, number: int | None = None) -> Loaded | None:
        """The live version, or version `number`, if it is loaded."""
        return self._versions.find(name, number)

    def ready(self, name: str, text: str | None = None) -> Loaded | None:
        """The version that a path names by number or alias, or the live one, if it is loaded. Raises NotFound,
        NotLive."""
        if text is None or text == aliases.LIVE:
            return self.find(name)
        number = self._table.number(name, text)
        return None if number is None else self.find(name, number)

    async def fetch(self, name: str, text: str | None = None) -> Loaded:
        """As `ready`, but loads the version off the event loop if need be. Raises NotFound, NotLive, Erased,
        CorruptArtifact."""
        if (loaded := self.ready(name, text)) is not None:
            return loaded
        number = None
        if text is not None and text != aliases.LIVE:
            number = self._table.number(name, text)
            if number is None:
                number = await asyncio.to_thread(lambda: self._table.refresh(name).number(name, text))
        # a client that disconnects must not cancel what other requests wait for
        return await asyncio.shield(asyncio.wrap_future(self._request(name, number)))

    def _request(self, name: str, number: int | None) -> Future[Loaded]:
        """Loads the live version, or version `number`, in a thread, once for all requests that wait for it."""
        with self._requests_lock:
            future = self._requests.get((name, number))
            if future is None:
                future = self._loader.for_first_request(self._load_requested, name, number)
                self._requests[name, number] = future
        return future

    def get(self, name: str) -> Loaded:
        """The live version, loaded if need be. Raises NotFound, NotLive, CorruptArtifact."""
        return self.find(name) or self._request(name, None).result()

    def at(self, name: str, number: int) -> Loaded:
        """Version `number`, loaded if need be. Raises NotFound, Erased, CorruptArtifact."""
        return self.find(name, number) or self._request(name, number).result()

    def prepare(
        self, model_id: int, name: str, number: int, layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
    ) -> Loaded:
        """Loads, verifies and warms a version before its swap; it need not be committed yet. Raises CorruptArtifact."""
        return self._loader.for_swap(self._loader.load, model_id, name, number, layout, shards).result()

    def known(self, name: str, number: int, version_id: int) -> Loaded | None:
        """The loaded version of that row of the database, if it is known to be that one."""
        loaded = self.find(name, number)
        return loaded if loaded is not None and loaded.version_id == version_id else None

    def swap(self, loaded: Loaded, marks: Marks | None = None) -> None:
        """Makes this version answer, unless the pointer has moved on; the version before stays loaded.

        `marks`: the database's marks before and after the commit that moved the pointer and changed nothing else."""
        new = self.find(loaded.model, loaded.number) is not loaded
        self._assign(loaded)
        if marks is not None and self._followed == marks[0]:
            self._followed = marks[1]
        if new:
            self.after_load()

    def serving_version(self, name: str) -> int | None:
        """The number of the version that answers here, or will at the first request."""
        answering, live = self._versions.answering(name), self._table.live(name)
        return answering or (None if (name, live) in self._failed else live)

    @property
    def up_to_date(self) -> bool:
        """Whether all is loaded and nothing was committed since the last refresh. Takes microseconds, so the event loop
        may call it."""
        return not self._failed and self._database.mark() == self._followed

    def refresh(self) -> None:
        """Follows the database: reads the pointers, drops archived models and erased versions, and loads what went live
        of loaded models. Costs next to nothing while nothing is committed."""
        mark = self._database.mark()
        if mark != self._followed:
            with self._table.reading() as reader:
                self.read(reader, mark)
        self.follow(mark)

    @property
    def reading(self) -> threading.Lock:
        """Held from before a reader of `read` begins."""
        return self._table.lock

    def read(self, reader: Reader, mark: int) -> None:
        """Reads the pointers by a reader that began after that mark, unless nothing was committed since the last."""
        if mark != self._followed:
            self._table.read_all(reader)
            self._drop_erased(reader)

    def follow(self, mark: int) -> None:
        """Has versions answer, or no longer, as was read at that mark."""
        self._versions.drop(lambda loaded: not self._table.knows(loaded.model))
        for key in [(name, number) for name, number in list(self._failed) if number != self._table.live(name)]:
            self._failed.pop(key, None)
        outdated = [name for name, number in self._versions.table().items() if number != self._table.live(name)]
        for name in dict.fromkeys([*outdated, *(name for name, _ in list(self._failed))]):
            self._follow(name)
        self._followed = mark

    def reread(self, name: str) -> None:
        """Reads a model's pointers, and what else predictions follow, after this process changed them."""
        self._table.refresh(name)

    def troubles(self) -> dict[str, str]:
        """Why a live version cannot be loaded, by model; the version before answers if it is loaded."""
        return {name: why for (name, _), (_, why) in self._failed.items()}

    def live_versions(self) -> dict[str, int]:
        """The number of the live version, by model, as of the last look at the database."""
        return self._table.all_live()

    def figures(self) -> Iterator[Family]:
        """What is live, what is loaded, and what has answered, for Prometheus: of each model the version that answers
        and the one before it, of the models that figures name."""
        live, answered = list[Sample](), list[Sample]()
        loaded = self._versions.loaded()
        for name, number in self.live_versions().items():
            model = ("model", NAMED.label(name))
            if model[1] != OTHER:
                live.append(Sample((model,), number))
        for version in loaded:
            name, number = version.model, version.number
            shown = number == self._versions.answering(name) or number in self._table.pinned(name)
            if shown and NAMED.label(name) != OTHER:
                answered.append(Sample((("model", name), ("version", str(number))), version.answered))
        yield Family("tsuika_live_version", "gauge", "The number of the version that is live.", live)
        yield Family("tsuika_predictions_total", "counter", "Predictions that a loaded version has answered.", answered)
        yield gauge("tsuika_loaded_versions", "Versions in memory.", len(loaded))
        yield gauge("tsuika_loaded_bytes", "Memory of the versions.", self._versions.bytes)
        yield gauge("tsuika_models_not_served", "Models whose live version cannot be loaded.", len(self._failed))

    def drop_versions(self, model_id: int, numbers: Collection[int]) -> None:
        """Drops loaded versions whose bytes were erased."""
        self._versions.drop(lambda loaded: loaded.model_id == model_id and loaded.number in numbers)

    def drop_model(self, name: str) -> None:
        self._table.drop(name)
        self._versions.drop(lambda loaded: loaded.model == name)

    def close(self) -> None:
        self._loader.close()

    def _load_requested(self, name: str, number: int | None) -> Loaded:
        """Loads a version in the loader's thread."""
        try:
            while True:
                if (loaded := self.find(name, number)) is not None:
                    return loaded
                if number is None:
                    loaded, answers = self._loaded_live(name)
                else:
                    loaded, answers = read_twice(lambda: self._load(name, self._recipe(name, number))), True
                    self._assign(loaded)
                self.after_load()
                if answers:  # else the pointer moved meanwhile
                    return loaded
        finally:
            with self._requests_lock:
                del self._requests[name, number]

    def _recipe(self, name: str, number: int | None) -> Recipe:
        with self._database.looking() as reader:
            recipe = loadable.live(reader, name) if number is None else loadable.numbered(reader, name, number)
        if recipe is not None:
            return recipe
        with self._database.reading() as session:
            raise loadable.refusal(session, name, number)

    def _drop_erased(self, reader: Reader) -> None:
        gone = loadable.erased(reader)
        self._versions.drop(lambda v: (v.model_id, v.number) in gone)
        if gone != self._gone:
            self._store.forget_cached()  # another machine may have erased them
        self._gone = gone

    def _follow(self, name: str) -> None:
        """Loads the live version, but waits after a failure; the version before answers meanwhile."""
        failed = self._failed.get((name, self._table.live(name) or 0))
        if failed is not None and failed[0] > time.monotonic():
            return
        try:
            self._loader.for_swap(self._loaded_live, name).result()
            self.after_load()
        except (CorruptArtifact, StoreAway):
            pass  # listed in `troubles`
        except (NotFound, NotLive):
            self._versions.drop(lambda loaded: loaded.model == name)

    def _loaded_live(self, name: str) -> tuple[Loaded, bool]:
        """The live version, and whether it answers: another one may be live by now.

        Raises NotFound, NotLive; CorruptArtifact and StoreAway, which `troubles` lists from then on.
        """
        version = self._recipe(name, None)
        key = (name, version.number)
        try:
            loaded = self._load(name, version)
        except (CorruptArtifact, StoreAway) as error:
            self._failed[key] = (time.monotonic() + TRY_AGAIN_SECONDS, f"Version {version.number}: {error.detail}")
            sentence = "%s: version %d cannot be loaded and is not served: %s"
            log.error(sentence, name, version.number, error.detail, exc_info=error.__cause__)
            raise
        self._failed.pop(key, None)
        return loaded, self._assign(loaded)

    def _load(self, name: str, version: Recipe) -> Loaded:
        if (known := self.known(name, version.number, version.id)) is not None:
            return known
        loaded = self._loader.load(version.model_id, name, version.number, version.layout, version.shards)
        loaded.version_id = version.id
        return loaded

    def _assign(self, loaded: Loaded) -> bool:
        """Puts a version into the table as the database says at this moment; returns whether it answers. Nothing else
        changes the table."""
        with self._table.reading() as reader:
            try:
                live = self._table.read(reader, loaded.model).live
            except NotFound:
                return False
            if not self._exists(reader, loaded):
                return False
            before, answers = self._versions.answering(loaded.model), live == loaded.number
            self._versions.keep(loaded, answers)
        if answers and before not in (None, loaded.number):
            log.info("%s answers with version %d", loaded.model, loaded.number)
        return answers

    def _exists(self, reader: Connection, loaded: Loaded) -> bool:
        """Whether the version exists. A version that was prepared before its commit learns the id of its row here:
        another version may have got its number."""
        if loaded.version_id is not None:
            return loadable.is_there(reader, loaded.version_id)
        row = loadable.numbered(reader, loaded.model, loaded.number)
        if row is None or fingerprint(row.layout, row.shards) != loaded.fingerprint:
            return False
        loaded.version_id = row.id
        return True
