"""What a process needs everywhere: settings, database, store, cache, live models, and two signals between threads."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, cast

from service.errors import DiskFull
from service.registry.sql.database import Bounds
from service.registry.sql.engines import open_database
from service.settings import MiB, Settings
from service.storage.cache import Cache
from service.storage.opening import open_store
from service.storage.permissions import tighten
from service.telemetry import metrics
from service.tuning import room

if TYPE_CHECKING:
    from service.serving.live import LiveModels

NEARLY_FULL, NEARLY_FULL_BYTES = 0.05, 1024 * MiB
"""A disk is nearly full where less is left than this part of it, and less than so many bytes; or less than the largest
body needs beside the reserve."""

log = logging.getLogger("tsuika")


class Runtime:
    """One per process: the command makes it, passes it down, and closes it at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        metrics.NAMED.most = settings.metrics_models
        tighten(settings)
        if settings.keeps_bytes_alone:
            log.warning(
                "Bytes are kept in %s, this process's own data folder: other services and workers of the database do "
                "not find them. Let TSUIKA_STORE_URL name a place that all of them see.",
                settings.store_folder,
            )
        self.database = open_database(
            settings.database_url,
            Bounds(
                settings.database_kept_connections,
                settings.database_connections,
                settings.database_lock_seconds,
                settings.database_statement_seconds,
            ),
        )
        if settings.store_folder is not None:
            settings.store_folder.parent.mkdir(parents=True, exist_ok=True)
        self.cache = Cache(settings.data / "cache", settings.cache_bytes, settings.reserve_bytes)
        self.store = open_store(settings.store_url, self.crash, self.cache, reserve=settings.reserve_bytes)
        self.work = threading.Event()
        """Set when an update may be waiting: a hint to the worker of this process, which polls anyway."""
        self._listeners: list[Callable[[], None]] = []
        self._making_live = threading.Lock()

    @cached_property
    def live(self) -> LiveModels:
        """The versions that answer; what serves none, as most commands, does not load torch for it."""
        with self._making_live:  # the property itself has no lock, and two threads would have one each
            if "live" not in self.__dict__:
                from service.serving.live import LiveModels

                live = LiveModels(self.database, self.store, self.settings.serving_bytes, self.settings)
                self.__dict__["live"] = live
            return cast("LiveModels", self.__dict__["live"])

    def on_change(self, listener: Callable[[], None]) -> None:
        """Registers a function to call, in any thread, after this process changed an update or a live pointer."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Calls the listeners."""
        for listener in self._listeners:
            listener()

    def trouble(self) -> str | None:
        """Why nothing can be stored now, or None. Loaded versions answer all the same."""
        return self.database.trouble() or self.store.trouble() or self.database.foreign() or self._shortage()

    def require_room(self) -> None:
        """Raises DiskFull where too little of a disk is free for more than what makes room, or is to be undone."""
        if (shortage := self._shortage()) is not None:
            raise DiskFull(shortage)

    def _shortage(self) -> str | None:
        file, folder = self.settings.database_file, self.settings.store_folder
        places = [place for place in (file.parent if file is not None else None, folder) if place is not None]
        return room.shortage(places, self.settings.reserve_bytes)

    def short_of_room(self) -> str | None:
        """What is wrong with the room where the data folder is, or None."""
        try:
            disk = shutil.disk_usage(self.settings.data)
        except OSError:  # `trouble` says so
            return None
        refused = self.settings.reserve_bytes + self.settings.max_body_bytes
        if disk.free >= max(min(NEARLY_FULL * disk.total, NEARLY_FULL_BYTES), refused):
            return None
        left = f"The disk of the data folder is nearly full: {disk.free / MiB:.0f} MiB are left"
        return f"{left}{', and large uploads are refused' * (disk.free < refused)}. {room.REMEDY}"

    def crash(self, point: str) -> None:
        """Kills the process if the settings name this point: tests cut the power so."""
        if self.settings.crash_point == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        """Closes live models and database."""
        if "live" in self.__dict__:
            self.live.close()
        self.database.close()
