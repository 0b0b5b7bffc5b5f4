"""The routing table: loaded before it answers, swapped at once, and never left behind the database."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from service.errors import CorruptArtifact, Erased, NotFound, NotLive
from service.registry import deployments, models, versions
from service.registry.sql.database import Marks, marks, now
from service.runtime import Runtime
from service.serving.loaded_versions import Loaded
from tests.making import make_model, make_version


def prepared(runtime: Runtime, number: int, name: str = "digits") -> Loaded:
    with runtime.database.reading() as session:
        version = versions.get(session, models.get(session, name), number)
    return runtime.live.prepare(version.model_id, name, number, version.layout, version.shards)


def move_to(runtime: Runtime, number: int) -> Marks | None:
    """The pointer moves, and the table does not yet."""
    with runtime.database.writing() as session:
        model = models.get(session, "digits")
        deployments.promote(session, model, versions.get(session, model, number), "", "anonymous")
    return marks(session)


def test_threads_that_find_no_table_make_one_between_them(runtime: Runtime) -> None:
    make = Runtime.__dict__["live"].func
    assert make(runtime) is make(runtime) is runtime.live


def test_unknown_models_and_models_without_a_live_version_are_told_apart(runtime: Runtime) -> None:
    make_model(runtime)
    with pytest.raises(NotFound):
        runtime.live.get("digitz")
    with pytest.raises(NotLive, match="no live version yet"):
        runtime.live.get("digits")
    assert runtime.live.serving_version("digits") is None


def test_a_live_version_is_loaded_when_it_is_first_asked(runtime: Runtime) -> None:
    make_model(runtime)
    make_version(runtime)
    assert runtime.live.find("digits") is None
    loaded = runtime.live.get("digits")
    assert (loaded.number, loaded.predictor.names) == (1, ["a", "b"])
    assert runtime.live.find("digits") is loaded is runtime.live.find("digits", 1)


def test_a_loaded_version_is_looked_up_without_the_database(runtime: Runtime) -> None:
    make_model(runtime)
    make_version(runtime)
    loaded = runtime.live.get("digits")
    runtime.database.close()
    runtime.live._database = None  # type: ignore[assignment]
    assert runtime.live.get("digits") is loaded is runtime.live.at("digits", 1)


def two_versions(runtime: Runtime) -> tuple[Loaded, Loaded]:
    """The version that answers, and the next one, which is loaded and live by the database alone."""
    make_model(runtime)
    make_version(runtime)
    first = runtime.live.get("digits")
    make_version(runtime, seed=1)
    return first, prepared(runtime, 2)


def test_the_version_before_stays_warm_after_a_swap(runtime: Runtime) -> None:
    first, second = two_versions(runtime)
    assert runtime.live.get("digits") is first
    runtime.live.swap(second)
    assert runtime.live.get("digits") is second
    assert runtime.live.find("digits", 1) is first is prepared(runtime, 1)


def test_a_swap_that_comes_late_does_not_undo_a_rollback(runtime: Runtime) -> None:
    first, second = two_versions(runtime)
    with runtime.database.writing() as session:
        deployments.roll_back(session, models.get(session, "digits"), "", None, "anonymous")
    runtime.live.swap(first)
    runtime.live.swap(second)
    assert runtime.live.get("digits") is first


def test_refresh_follows_what_another_process_moved(runtime: Runtime) -> None:
    make_model(runtime)
    make_version(runtime)
    runtime.live.get("digits")
    assert not runtime.live.up_to_date
    make_version(runtime, seed=1)
    runtime.live.refresh()
    assert runtime.live.up_to_date
    assert runtime.live.find("digits") is runtime.live.find("digits", 2) is not None
    with runtime.database.writing() as session:
        models.archive(session, models.get(session, "digits"))
    assert not runtime.live.up_to_date
    runtime.live.refresh()
    assert runtime.live.find("digits") is runtime.live.find("digits", 1) is None


def test_what_a_process_moved_itself_is_not_looked_for_again(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(runtime)
    for seed in range(3):
        make_version(runtime, seed=seed)
    loaded = [runtime.live.at("digits", number) for number in (1, 2, 3)]
    runtime.live.refresh()
    moved = move_to(runtime, 1)
    runtime.live.swap(loaded[0], moved)
    with monkeypatch.context() as patched:
        patched.setattr(runtime.database, "looking", lambda: pytest.fail("nobody else committed anything"))
        runtime.live.refresh()
    assert runtime.live.get("digits") is loaded[0]
    with runtime.database.writing() as session:  # another process, without `swap` here
        versions.get(session, models.get(session, "digits"), 3).erased_at = now()
    moved = move_to(runtime, 2)
    runtime.live.swap(loaded[1], moved)
    runtime.live.refresh()
    assert runtime.live.get("digits") is loaded[1]
    assert runtime.live.find("digits", 3) is None


def test_a_version_that_cannot_be_loaded_leaves_the_one_before(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(runtime)
    make_version(runtime)
    runtime.live.get("digits")
    make_version(runtime, seed=1)
    with runtime.database.reading() as session:
        shard = next(s for s in versions.get(session, models.get(session, "digits"), 2).shards if s["part"] == "head.0")
    path = tmp_path / "store" / "shards" / shard["digest"][:2] / shard["digest"][2:]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    runtime.live.refresh()
    assert runtime.live.serving_version("digits") == 1
    assert "Version 2" in runtime.live.troubles()["digits"]
    with pytest.raises(CorruptArtifact):
        runtime.live.at("digits", 2)
    path.write_bytes(whole)
    runtime.live.refresh()
    assert runtime.live.serving_version("digits") == 1
    monkeypatch.setattr("service.serving.live.time.monotonic", lambda: 1e12)
    runtime.live.refresh()
    assert runtime.live.serving_version("digits") == 2
    assert runtime.live.troubles() == {}


def test_a_version_that_failed_when_it_was_first_asked_is_told_and_tried_again(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(runtime)
    make_version(runtime)
    get = runtime.store.get
    monkeypatch.setattr(runtime.store, "get", lambda area, digest: get(area, "0" * 64))
    runtime.live.refresh()
    assert runtime.live.troubles() == {}
    with pytest.raises(CorruptArtifact):
        runtime.live.get("digits")
    assert "Version 1" in runtime.live.troubles()["digits"]
    assert runtime.live.serving_version("digits") is None
    monkeypatch.setattr(runtime.store, "get", get)
    assert runtime.live.get("digits").number == 1
    assert runtime.live.troubles() == {}


def test_erased_versions_are_forgotten(runtime: Runtime) -> None:
    make_model(runtime)
    make_version(runtime)
    make_version(runtime, seed=1)
    runtime.live.at("digits", 1)
    with runtime.database.writing() as session:
        versions.get(session, models.get(session, "digits"), 1).erased_at = now()
    runtime.live.refresh()
    with pytest.raises(Erased):
        runtime.live.at("digits", 1)


def test_a_number_that_another_version_got_does_not_bring_back_what_was_prepared(runtime: Runtime) -> None:
    make_model(runtime)
    make_version(runtime)
    first = prepared(runtime, 1)
    other = runtime.live.prepare(first.model_id, "digits", 1, _layout(runtime), _other_shards(runtime))
    assert other.fingerprint != first.fingerprint
    runtime.live.swap(other)
    assert runtime.live.get("digits").fingerprint == first.fingerprint


def _layout(runtime: Runtime) -> dict[str, object]:
    with runtime.database.reading() as session:
        return versions.get(session, models.get(session, "digits"), 1).layout


def _other_shards(runtime: Runtime) -> list[dict[str, object]]:
    make_version(runtime, seed=5, promote=False)
    with runtime.database.reading() as session:
        return versions.get(session, models.get(session, "digits"), 2).shards


def test_many_movers_leave_the_table_where_the_database_is(runtime: Runtime) -> None:
    make_model(runtime)
    for seed in range(4):
        make_version(runtime, seed=seed)

    def mover(number: int) -> None:
        for _ in range(5):
            loaded = runtime.live.at("digits", number)
            with runtime.database.writing() as session:
                model = models.get(session, "digits")
                if model.live_version_id != versions.get(session, model, number).id:
                    deployments.promote(session, model, versions.get(session, model, number), "", "anonymous")
            runtime.live.swap(loaded)

    threads = [threading.Thread(target=mover, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with runtime.database.reading() as session:
        live = models.live(session, models.get(session, "digits"))
    assert runtime.live.serving_version("digits") == live.number
