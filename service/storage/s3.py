"""The store in a bucket of S3, or of what speaks its protocol, by obstore (the extra `s3`), which nothing else imports.

Objects are `<prefix>/<area>/<64 digits>`. Endpoint, region and credentials come from the usual variables AWS_...
A put is one request that stores all or nothing, and creates only. Every read is verified. A store that is away costs
each call some seconds at most, and the calls of the next second nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from service.errors import DiskFull, StoreAway
from service.storage.artifacts import SHARDS, check_name, corrupt, is_name
from service.storage.cache import Cache
from service.storage.figures import observed
from service.storage.local import nothing

if TYPE_CHECKING:
    from obstore import ObjectMeta

QUICK_SECONDS, BYTES_SECONDS, CONNECT_SECONDS = 5, 60, 3
"""How long a question may take, the transfer of an object, and a connection."""
RETRIES, RETRY_SECONDS = 4, 5
"""What answers with 5xx or cuts the line is asked again so often, for so long."""
AT_ONCE_BYTES = 2**20
"""So much is sent before the store is asked whether it has it: what is so small is hardly ever stored twice."""
FRESH_SECONDS = 3600.0
"""An object that is older is written again by a put, so that garbage collection spares it from then on."""
LOOK_SECONDS, AWAY_SECONDS = 2.0, 1.0
"""How old the last news may be before `trouble` asks for more, and how long calls believe that the store is away."""
FULL = "The object store is full, or its quota is used up."
REMEDY = "Free some (tsuika gc; docs/upkeep.md, a full disk), or have the bucket hold more."
NO_ROOM = re.compile(
    r"status code: 507 |<(Code|Message)>[^<]*(StorageFull|Quota ?Exceeded|quota (exceed|is reach)|cap exceeded)", re.I
)
"""What stores answer that have no room: MinIO 507, or 400 for the quota of a bucket; Ceph, Garage and Backblaze 403.
Addresses have such words where a bucket is called so."""
METADATA = "http://169.254.169.254/"
"""Where a machine of Amazon's tells the credentials of its role."""

log = logging.getLogger("tsuika.storage")
T = TypeVar("T")


class S3Artifacts:
    """`crash`: as of LocalArtifacts · `cache`, `patience`: as of `open_store`."""

    def __init__(
        self, url: str, crash: Callable[[str], None] = nothing, cache: Cache | None = None, patience: float = 0.0
    ) -> None:
        place = urlsplit(url)
        self._bucket, self._crash, self._cache, self._patience = place.netloc, crash, cache, patience
        prefix = place.path.strip("/") or None
        self._quick, self._bytes = (
            _client(self._bucket, prefix, seconds) for seconds in (QUICK_SECONDS, BYTES_SECONDS)
        )
        self._why: str | None = None
        self._known = -LOOK_SECONDS
        """When the store was last heard of or missed, on the monotonic clock."""
        self._looking = threading.Lock()

    def trouble(self) -> str | None:
        """Why nothing can be stored, or None, as of some seconds ago: it asks in a thread and waits for nothing."""
        if time.monotonic() - self._known > LOOK_SECONDS and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, daemon=True, name="store").start()
        return self._why

    @observed("put")
    def put(self, area: str, data: bytes, anew: bool = False) -> str:
        digest = hashlib.sha256(data).hexdigest()
        key = _key(area, digest)
        self._crash("after_blob_temp")
        if anew:  # as many requests, whether somebody has the same or not
            self._asked(lambda: self._write(key, data, create=False))
        elif len(data) > AT_ONCE_BYTES or not self._asked(lambda: self._write(key, data, create=True)):
            before = self._head(key)
            if before is None or not _whole(before, data):
                self._asked(lambda: self._write(key, data, create=before is None))
        self._crash("after_blob_rename")
        if area == SHARDS and self._cache is not None:
            self._cache.put(area, digest, data)
        return digest

    @observed("get")
    def get(self, area: str, digest: str) -> bytes:
        key, cache, entered = _key(area, digest), self._cache if area == SHARDS else None, None
        if cache is not None:
            cached = cache.get(area, digest)
            if cached is not None and hashlib.sha256(cached).hexdigest() == digest:
                return cached
            entered = cache.enter(area)  # before the read: what is erased meanwhile is not kept
        try:
            size, data = self._asked(lambda: self._read(key))
        except FileNotFoundError:
            raise corrupt(digest, "are missing from the store") from None
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise corrupt(digest, "are damaged: they do not hash to their name")
        if cache is not None:
            cache.put(area, digest, data, entered)
        return data

    @observed("has")
    def has(self, area: str, digest: str) -> bool:
        return self._head(_key(area, digest)) is not None

    @observed("delete")
    def delete(self, area: str, digest: str) -> None:
        key = _key(area, digest)
        with suppress(FileNotFoundError):  # some stores say so
            self._asked(lambda: obstore.delete(self._quick, key))

    def sweep(self, area: str, digest: str, older_than: float) -> bool:
        """Between the look and the deletion a writer may come to name the bytes: the caller keeps it waiting."""
        before = self._head(_key(area, digest))
        if before is None or before["last_modified"].timestamp() >= older_than:
            return False
        self.delete(area, digest)
        return True

    def names(self, within: str = "*") -> Iterator[tuple[str, str, float]]:
        """Yields (area, digest, time) of all bytes, or of one area."""
        prefix = None if within == "*" else f"{within}/"
        for stored in self._asked(lambda: [each for page in obstore.list(self._bytes, prefix) for each in page]):
            area, _, digest = stored["path"].partition("/")
            if is_name(area, digest):
                yield area, digest, stored["last_modified"].timestamp()

    def clear_temporary(self, older_than: float, dry_run: bool = False) -> int:
        """There are none: a put that was cut off has left nothing."""
        return 0

    def sweep_temporary(self, area: str) -> None:
        """There are none."""

    def sync(self, names: Iterable[tuple[str, str]]) -> None:
        """A deletion that was answered is durable."""

    def forget_cached(self) -> None:
        """Deletes the weight shards that are kept on this machine: some may be of a version that was erased."""
        if self._cache is not None:
            self._cache.forget(SHARDS)

    def _write(self, key: str, data: bytes, create: bool) -> bool:
        """-> whether it wrote: with `create`, only what is not there"""
        try:
            obstore.put(self._bytes, key, data, mode="create" if create else "overwrite", use_multipart=False)
            return True
        except AlreadyExistsError:  # by somebody else, or by a try of ours whose answer was lost: the same bytes
            return False
        except FileNotFoundError as error:
            raise StoreAway(_no_bucket(self._bucket)) from error

    def _read(self, key: str) -> tuple[int, bytes]:
        try:
            answer = obstore.get(self._bytes, key)
            return answer.meta["size"], bytes(answer.bytes())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StoreAway(_no_bucket(self._bucket)) from error
            raise

    def _head(self, key: str) -> ObjectMeta | None:
        try:
            return self._asked(lambda: obstore.head(self._quick, key))
        except FileNotFoundError:
            return None

    def _look(self) -> None:
        try:
            self._once(lambda: next(iter(obstore.list(self._quick, f"{SHARDS}/{'0' * 64}/")), None))
        except StoreAway:
            pass  # it is kept
        finally:
            self._looking.release()

    def _asked(self, do: Callable[[], T]) -> T:
        """What the store answers. Raises StoreAway, DiskFull, FileNotFoundError."""
        if self._why not in (None, FULL) and not self._patience and time.monotonic() - self._known < AWAY_SECONDS:
            raise StoreAway(str(self._why))
        end, pause = time.monotonic() + self._patience, 0.2
        while True:
            try:
                return self._once(do)
            except StoreAway:
                if time.monotonic() + pause > end:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, 2.0)

    def _once(self, do: Callable[[], T]) -> T:
        why = None
        try:
            return do()
        except StoreAway as error:
            why = error.detail
            raise
        except BaseError as error:
            why = _trouble(error, self._bucket)
            if self._why is None:
                log.error("%s %s", why, _first_line(error))
            if why is FULL:
                raise DiskFull(f"{FULL} Nothing was stored. {REMEDY}") from error
            raise StoreAway(why) from error
        finally:
            if why is None and self._why is not None:
                log.info("the object store answers again")
            self._why, self._known = why, time.monotonic()


def _client(bucket: str, prefix: str | None, seconds: int) -> S3Store:
    endpoint = next((v for n in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if (v := os.environ.get(n))), None)
    return S3Store(
        bucket,
        prefix=prefix,
        config={"endpoint": endpoint} if endpoint else {},
        client_options={
            "allow_http": (endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=seconds),
        },
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2},
        },
    )


def _key(area: str, digest: str) -> str:
    check_name(area, digest)
    return f"{area}/{digest}"


def _whole(before: ObjectMeta, data: bytes) -> bool:
    """Whether an object is these bytes and young. Its tag is the MD5 of what was stored, unless the store encrypts with
    a key of its own: then it is written again."""
    if before["size"] != len(data) or time.time() - before["last_modified"].timestamp() > FRESH_SECONDS:
        return False
    tag = (before["e_tag"] or "").strip('"')
    return tag == hashlib.md5(data, usedforsecurity=False).hexdigest()


def _trouble(error: BaseError, bucket: str) -> str:
    """A sentence for callers, without addresses; `FULL` where the store has no room."""
    text = str(error)
    if "NoSuchBucket" in text:
        return _no_bucket(bucket)
    if NO_ROOM.search(text):
        return FULL
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or re.search(r"\b40[13] (Unauth|Forbid)", text):
        return "The object store refuses the credentials of this process: check the variables AWS_..."
    if METADATA in text:  # asked for a role as the last resort
        return (
            "This process finds no credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or give its machine a role."
        )
    return "The object store cannot be reached. Try again in a moment."


def _no_bucket(bucket: str) -> str:
    return f"The object store has no bucket {bucket}: make it, or correct TSUIKA_STORE_URL."


def _first_line(error: BaseError) -> str:
    return str(error).partition("\n")[0]
