"""What is a bucket's own: names of objects, races, the copies on this machine, and a store that is away."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from service.errors import CorruptArtifact, DiskFull, StoreAway
from service.storage import s3 as module
from service.storage.artifacts import SHARDS, model_area
from service.storage.cache import Cache
from service.storage.s3 import S3Artifacts
from tests.proxy import Line, Proxy
from tests.s3 import S3Server

pytestmark = pytest.mark.s3

DATA = b"weights" * 100
DIGEST = hashlib.sha256(DATA).hexdigest()


class Counted:
    """obstore, counting what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        import obstore

        self.calls.append(name)
        return getattr(obstore, name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    counted = Counted()
    monkeypatch.setattr(module, "obstore", counted)
    return counted.calls


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 2**20)


@pytest.mark.parametrize("most", [0, module.AT_ONCE_BYTES])
def test_what_is_there_already_is_not_sent_again_unless_it_is_small(
    s3: S3Server, asked: list[str], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(module, "AT_ONCE_BYTES", most)
    store, sent = S3Artifacts(s3.bucket()), ["put"] if most else []
    store.put(SHARDS, DATA)
    assert asked == (sent or ["head", "put"])
    asked.clear()
    store.put(SHARDS, DATA)
    assert asked == [*sent, "head"]
    asked.clear()
    for data in (DATA, b"what nobody has"):
        store.put(SHARDS, data, anew=True)
    assert asked == ["put", "put"], "so nobody finds out by the time what others have"


def test_what_is_old_is_written_again_so_that_garbage_collection_spares_it(
    s3: S3Server, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3Artifacts(s3.bucket())
    store.put(SHARDS, DATA)
    monkeypatch.setattr(module, "FRESH_SECONDS", -60.0)
    store.put(SHARDS, DATA)
    assert asked == ["put", "put", "head", "put"]


def test_two_that_put_the_same_at_once_both_have_it(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE_BYTES", 0)
    url = s3.bucket()
    here, there = S3Artifacts(url), S3Artifacts(url)
    here._crash = lambda point: there.put(SHARDS, DATA) and None
    before = here._head
    here._head = lambda key: (before(key), None)[1]  # type: ignore[method-assign, assignment]  # it came after the look
    assert here.put(SHARDS, DATA) == DIGEST
    assert there.get(SHARDS, DIGEST) == DATA


def test_a_shard_is_read_from_the_store_once_and_rows_are_not_kept(
    s3: S3Server, asked: list[str], cache: Cache
) -> None:
    url = s3.bucket()
    S3Artifacts(url).put(SHARDS, DATA)
    S3Artifacts(url).put(model_area(1), DATA)
    store = S3Artifacts(url, cache=cache)
    asked.clear()
    for _ in range(3):
        assert store.get(SHARDS, DIGEST) == store.get(model_area(1), DIGEST) == DATA
    assert asked.count("get") == 1 + 3
    store.forget_cached()
    assert store.get(SHARDS, DIGEST) == DATA
    assert asked.count("get") == 5


def test_a_damaged_copy_is_read_anew(s3: S3Server, cache: Cache, tmp_path: Path) -> None:
    store = S3Artifacts(s3.bucket(), cache=cache)
    store.put(SHARDS, DATA)
    [copy] = (tmp_path / "cache" / SHARDS).iterdir()
    copy.write_bytes(hashlib.sha256(b"other").digest() + b"other")
    assert store.get(SHARDS, DIGEST) == DATA


def test_what_is_erased_while_it_is_read_is_not_kept(s3: S3Server, cache: Cache) -> None:
    store = S3Artifacts(s3.bucket(), cache=cache)
    store.put(SHARDS, DATA)
    store.forget_cached()
    read = store._read

    def late(key: str) -> tuple[int, bytes]:
        answer = read(key)
        store.delete(SHARDS, DIGEST)
        store.forget_cached()
        return answer

    store._read = late  # type: ignore[method-assign]
    assert store.get(SHARDS, DIGEST) == DATA
    store._read = read  # type: ignore[method-assign]
    with pytest.raises(CorruptArtifact, match="missing"):
        store.get(SHARDS, DIGEST)


def test_a_store_that_is_away_is_an_error_of_its_own_and_then_costs_nothing(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(module, "RETRIES", 0)
    monkeypatch.setattr(module, "AWAY_SECONDS", 60.0)
    store = S3Artifacts("s3://bucket")
    for call in (lambda: store.get(SHARDS, DIGEST), lambda: store.put(SHARDS, DATA), lambda: store.has(SHARDS, DIGEST)):
        with pytest.raises(StoreAway, match="cannot be reached"):
            call()
    assert asked == ["get"]
    assert "cannot be reached" in str(store.trouble())


def test_a_store_without_room_says_so_and_takes_bytes_once_it_has_some(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(("127.0.0.1", int(s3.url.rpartition(":")[2])))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setattr(module, "RETRIES", 0)
    monkeypatch.setattr(module, "AWAY_SECONDS", 60.0)
    store = S3Artifacts(s3.bucket())
    there = store.put(model_area(1), b"rows")
    proxy.line = Line.FULL
    for _ in range(2):
        with pytest.raises(DiskFull, match=r"full.* Nothing was stored\. Free some \(tsuika gc"):
            store.put(SHARDS, DATA)
    assert store.trouble() == module.FULL
    assert store.get(model_area(1), there) == b"rows"
    proxy.line = Line.GOOD
    assert store.get(SHARDS, store.put(SHARDS, DATA)) == DATA
    proxy.close()


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("Generic", "400 Bad Request: <Code>XMinioAdminBucketQuotaExceeded</Code><Message>Bucket quota exceeded"),
        ("PermissionDenied", "403 Forbidden: <Code>QuotaExceeded</Code>"),
        ("PermissionDenied", "403 Forbidden: <Message>Forbidden: Bucket size quota is reached, maximum total size: 9"),
        ("PermissionDenied", "403 Forbidden: <Message>Cannot upload files, storage cap exceeded.</Message>"),
        ("PermissionDenied", "403 Forbidden: <Code>AccessDenied</Code><Resource>/quotaexceeded-logs/k</Resource>"),
        ("Generic", "HTTP error: error sending request"),
    ],
)
def test_a_quota_that_is_used_up_is_no_lack_of_credentials_and_no_name_of_a_bucket(
    s3: S3Server, kind: str, answer: str
) -> None:
    import obstore.exceptions

    def refused() -> None:
        status = "Server returned non-2xx status code: " if answer[0] == "4" else ""
        place = "PUT http://127.0.0.1:9/quotaexceeded-logs/storagefull"
        raise getattr(obstore.exceptions, f"{kind}Error")(f"Error performing {place} in 1 ms - {status}{answer}")

    full = not answer.endswith(("</Resource>", "request"))
    with pytest.raises(DiskFull if full else StoreAway, match="quota is used up" if full else "refuses|reached"):
        S3Artifacts("s3://quotaexceeded-logs")._once(refused)


def test_where_no_credentials_are_set_the_store_is_not_said_to_be_away(s3: S3Server) -> None:
    from obstore.exceptions import GenericError

    def no_role() -> None:
        raise GenericError(f"Generic S3 error: Error performing PUT {module.METADATA}latest/api/token in 1 s")

    with pytest.raises(StoreAway, match="finds no credentials"):
        S3Artifacts("s3://bucket")._once(no_role)


def test_trouble_is_told_without_waiting_and_passes(s3: S3Server) -> None:
    store = S3Artifacts(s3.bucket())
    missing = S3Artifacts("s3://not-there")
    with missing._looking:  # as though somebody else asked the store just now
        assert missing.trouble() is None  # not known yet, and nothing was waited for
    end = time.monotonic() + 60.0
    while (why := missing.trouble()) is None and time.monotonic() < end:
        time.sleep(0.02)
    assert "no bucket not-there" in str(why)
    with pytest.raises(StoreAway, match="no bucket"):
        missing._write("shards/x", DATA, create=True)
    store._why, store._known = "away", 0.0
    store.put(SHARDS, DATA)
    assert store.trouble() is None


def test_patience_outlasts_a_short_absence(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3Artifacts(s3.bucket(), patience=30.0)
    tries = []
    write = store._write

    def cut(key: str, data: bytes, create: bool) -> None:
        tries.append(key)
        if len(tries) < 3:
            raise StoreAway("away")
        write(key, data, create)

    monkeypatch.setattr(store, "_write", cut)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    assert store.get(SHARDS, store.put(SHARDS, DATA)) == DATA
    assert len(tries) == 3
