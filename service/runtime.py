"""What a process holds: settings, database, store, cache, live models, and the two bells that wake others."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from service.registry.sql.database import Database
from service.serving.live import LiveModels
from service.settings import Settings
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts
from service.storage.permissions import tighten


class Runtime:
    """One per process; made by the command that starts it, passed down, closed at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        tighten(settings)
        self.database = Database(settings.database_url)
        settings.store_folder.parent.mkdir(parents=True, exist_ok=True)
        self.store = LocalArtifacts(settings.store_folder, crash=self.crash)
        self.cache = Cache(settings.data / "cache", settings.cache_bytes)
        self.live = LiveModels(self.database, self.store, settings.serving_bytes)
        self.work = threading.Event()
        """Set when an update may be waiting: a hint to the worker of this process; polling is the truth."""
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` from whichever thread changed an update or a live pointer of this process."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Something moved: wake those who wait for it."""
        for listener in self._listeners:
            listener()

    def trouble(self) -> str | None:
        """Why nothing can be stored now, where that is so: others go on asking, and are answered what is loaded."""
        return self.database.trouble() or self.store.trouble() or self.database.foreign()

    def crash(self, point: str) -> None:
        """Die here, at once, when the settings name this point: how the tests cut the power."""
        if self.settings.crash_point == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        """Give back what is held."""
        self.live.close()
        self.database.close()
