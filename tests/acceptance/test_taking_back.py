"""Batches that are taken back: the same bits as if they had never come, a certificate, and bytes that are gone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import torch

from service.registry import batches, models, versions
from service.registry.rows import ledger
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Batch, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.storage.opening import open_store
from service.upkeep.verify import verify
from service.worker.parent import erasure
from tests.acceptance.conftest import NewModel
from tests.acceptance.environments import Environment
from tests.acceptance.service import ENDLESS, RIDGE, Caller, blobs, slow, stored_version, until
from tests.running import Server

MLP = {"backbone": {"name": "mlp", "hidden": [8]}}
TUNE = slow(5)


@pytest.fixture
def service(environment: Environment) -> Server:
    return environment.services[0]


def parts(caller: Caller, number: int) -> dict[str, str]:
    """Part -> digest of its bytes."""
    return {shard["part"]: shard["digest"] for shard in stored_version(caller.server, caller, number).shards}


def taken_back(caller: Caller, ids: list[str], **fields: Any) -> dict[str, Any]:
    """A retraction that has made a version."""
    done = caller.end(caller.retract(ids, **fields)["id"])
    assert (done["state"], done["verdict"]) == ("succeeded", "promoted"), done
    assert caller.live() == done["version"]
    return done


def heard(caller: Caller, version: int | None) -> list[str]:
    """What it answers to three rows once the service has heard which version is live; None: no version that answers."""
    body = {"inputs": blobs(5, rows=3)[0]}

    def answered() -> list[dict[str, Any]]:
        answer = caller.http.post(f"{caller.path}/predictions", json=body)
        due = (200, version) if version is not None else (409, None)
        return [answer.json()] if (answer.status_code, answer.json().get("version")) == due else []

    [answer] = until(answered, what=f"the news of version {version}")
    return [prediction["class"] for prediction in answer.get("predictions", [])]


def test_a_batch_that_is_taken_back_leaves_the_digest_of_never_having_seen_it(
    environment: Environment, new_model: NewModel
) -> None:
    with_it, without = new_model(), new_model()
    for caller, seeds in ((with_it, (0, 1, 2)), (without, (0, 2))):
        learned = {k: caller.learn(k)["batches"][0] for k in seeds}
        if caller is with_it:
            bad = learned[1]
    before = with_it.live()
    assert before == 3
    done = taken_back(with_it, [bad])
    after, never = (
        stored_version(environment.services[0], with_it, 4),
        stored_version(environment.services[0], without, 2),
    )
    assert after.ledger_digest == never.ledger_digest
    assert parts(with_it, 4)["head.0"] == parts(without, 2)["head.0"]
    assert with_it.state(bad) == "retracted"
    assert bad not in with_it.version(4)["batches"]

    certificate = done["report"]["certificate"]
    assert certificate["ledger_digest"] == after.ledger_digest
    assert (certificate["removed"], certificate["rows"], certificate["exact"]) == ([bad], 120, True)
    assert certificate["processor"] == torch.backends.cpu.get_cpu_capability()
    statuses = {fact["part"]: fact["status"] for fact in certificate["shards"]}
    assert statuses["head.0"] == "recomputed"
    assert certificate["decided"] == [], "the first batch alone brings the same order of classes"
    assert {fact["part"]: fact["digest"] for fact in certificate["shards"]} == parts(with_it, 4)
    with closing(environment.runtime()) as runtime:
        for number in (before, 4):
            assert verify(runtime, with_it.name, number).holds

    refused = with_it.http.post(f"{with_it.path}/rollback", json={"reason": "I liked it", "to": before})
    assert (refused.status_code, refused.json()["to"]) == (409, 1)
    again = with_it.http.post(f"{with_it.path}/deployments", json={"version": before, "reason": "I liked it"})
    assert (again.status_code, again.json()["nearest_clean"]) == (409, 1)
    environment.hold(list(learned.values()))


def test_a_class_that_is_left_without_rows_leaves_the_columns(environment: Environment, new_model: NewModel) -> None:
    caller = new_model()
    caller.learn(0, classes="ab")
    typo = caller.learn(1, classes="abz")["batches"]
    assert "z" in caller.version(2)["classes"]
    done = taken_back(caller, typo)
    assert sorted(caller.version(done["version"])["classes"]) == ["a", "b"]
    assert set(heard(caller, done["version"])) <= {"a", "b"}
    assert parts(caller, done["version"])["head.0"] == parts(caller, 1)["head.0"]


@pytest.mark.long
def test_a_batch_that_brought_another_order_of_classes_is_told_to_have_decided_it(
    environment: Environment, new_model: NewModel
) -> None:
    caller = new_model()
    first = caller.learn(0, classes="ba")["batches"]
    last = [caller.learn(seed)["batches"] for seed in (1, 2)][-1]
    done = taken_back(caller, first)
    assert caller.version(done["version"])["classes"] == list("bacd")
    assert done["report"]["certificate"]["decided"] == ["class order"]
    assert taken_back(caller, last)["report"]["certificate"]["decided"] == []
    environment.hold()


@pytest.mark.parametrize(
    ("which", "methods"),
    [
        (0, [TUNE] * 3),
        pytest.param(2, [TUNE] * 3, marks=pytest.mark.long),
        pytest.param(1, [TUNE, TUNE, RIDGE], marks=pytest.mark.long),
    ],
)
def test_a_trained_lineage_is_the_same_bit_by_bit_without_the_batch(
    environment: Environment, new_model: NewModel, which: int, methods: list[dict[str, Any]]
) -> None:
    with_it, without = new_model(architecture=MLP), new_model(architecture=MLP)
    for caller in (with_it, without):
        caller.ok("PATCH", caller.path, {"promotion": "manual"})
        for number, k in enumerate(k for k in range(len(methods)) if caller is with_it or k != which):
            done = caller.learn(k, method=methods[k])
            assert done["version"] == number + 1
            caller.ok("POST", f"{caller.path}/deployments", {"version": number + 1})
    bad = with_it.version(which + 1)["batches"]
    earlier = set(with_it.version(which)["batches"]) if which else set()
    done = taken_back(with_it, [b for b in bad if b not in earlier])
    made = len(methods) + 1
    assert done["version"] == made
    assert parts(with_it, made) == parts(without, len(methods) - 1)
    certificate = done["report"]["certificate"]
    assert {fact["status"] for fact in certificate["shards"]} <= {"recomputed", "never saw it"}
    assert not set(done["batches"]) & set(with_it.version(made)["batches"])
    environment.hold()


@pytest.mark.parametrize(
    "method",
    [
        RIDGE,
        pytest.param({"name": "linear_probe", "epochs": 2}, marks=pytest.mark.long),
        pytest.param({"name": "auto"}, marks=pytest.mark.long),
    ],
)
def test_everything_can_be_taken_back_and_learned_anew(
    environment: Environment, new_model: NewModel, method: dict[str, Any]
) -> None:
    caller = new_model(method=method)
    first = caller.learn(0)["batches"]
    done = taken_back(caller, first)
    assert caller.version(done["version"])["classes"] == []
    assert "Nothing that was learned is left, so it answers nothing until rows come." in done["report"]["gate"]["why"]
    heard(caller, None)
    again = caller.learn(1)
    assert (again["verdict"], caller.live()) == ("promoted", 3)
    assert len(heard(caller, 3)) == 3
    more = caller.learn(2)
    newest = taken_back(caller, caller.learn(3)["batches"])["why"]
    assert newest.startswith("Version 4 stands" if method["name"] == "linear_probe" else "Subtracted")
    certificate = taken_back(caller, again["batches"])["report"]["certificate"]
    assert ("method" in certificate["decided"]) == (method["name"] == "auto")
    taken_back(caller, more["batches"])
    assert caller.version(8)["classes"] == []
    environment.hold()


def test_two_retractions_at_once_and_a_learning_update_between_them_all_end(
    environment: Environment, new_model: NewModel
) -> None:
    caller = new_model()
    ids = [caller.learn(k)["batches"][0] for k in range(3)]
    new = caller.batch(3)
    with environment.held():
        running = caller.order([new], method=TUNE)["id"]
        until(lambda: caller.update(running)["state"] == "running", what="the claim")
        orders = [caller.retract([b], wait=0)["id"] for b in ids[:2]]
    for update_id in orders:
        assert caller.end(update_id)["verdict"] == "promoted"
    done = caller.end(running)
    assert done["state"] == "succeeded"
    assert not set(ids[:2]) & set(caller.version(done["version"])["batches"])
    live = caller.live()
    assert live is not None
    assert not set(ids[:2]) & set(caller.version(live)["batches"])
    assert [caller.state(b) for b in ids] == ["retracted", "retracted", "learned"]
    environment.hold([*ids, new])


def test_what_live_never_learned_is_taken_back_without_a_version(environment: Environment, new_model: NewModel) -> None:
    caller = new_model()
    caller.learn(0)
    waiting = caller.batch(1)
    done = caller.end(caller.retract([waiting])["id"])
    assert (done["state"], done["version"], done["verdict"]) == ("succeeded", None, None)
    assert caller.state(waiting) == "retracted"
    assert caller.versions() == [1]


@pytest.mark.long
def test_a_cancelled_retraction_leaves_everything_as_it_was_until_it_is_tried_again(
    environment: Environment, new_model: NewModel
) -> None:
    caller = new_model()
    bad = caller.learn(0)["batches"]
    caller.learn(1)
    blocker = caller.order([caller.batch(2)], method=ENDLESS)["id"]
    caller.training(blocker)
    back = caller.retract(bad, wait=0)["id"]
    assert caller.state(bad[0]) == "retracted"
    assert caller.http.post(f"/v1/updates/{back}/cancel").status_code == 200
    assert caller.state(bad[0]) == "learned"
    assert caller.http.post(f"/v1/updates/{back}/retry").status_code == 202
    assert caller.state(bad[0]) == "retracted"
    caller.http.post(f"/v1/updates/{blocker}/cancel")
    assert caller.end(back)["verdict"] == "promoted"
    assert caller.state(bad[0]) == "retracted"


@pytest.mark.long
def test_what_is_erased_leaves_no_byte_and_the_number_stays(environment: Environment, new_model: NewModel) -> None:
    caller = new_model()
    first = caller.learn(30)["batches"]
    bad = caller.learn(31)["batches"]  # rows of no other model here: weights are shared
    with closing(open_database(environment.database_url)) as database, database.reading() as session:
        model = models.get(session, caller.name)
        area = model_area(model.id)
        entries = [digest for of in ledger.digests(session, bad).values() for digest in of.values()]
        gone = [batches.get(session, model, b).stored_digest for b in bad] + entries
        kept = [batches.get(session, model, b).stored_digest for b in first]
        digests = {s["digest"] for s in versions.get(session, model, 2).shards}
    assert entries
    done = taken_back(caller, bad, erase=True)
    caller.learn(2)
    with closing(environment.runtime()) as runtime:
        until(lambda: not unfinished(runtime), what="the deletion")

    assert caller.http.get(f"{caller.path}/batches/{bad[0]}").json()["state"] == "erased"
    assert caller.http.get(f"{caller.path}/versions/2").json()["erased_at"] is not None
    inputs, _ = blobs(5, rows=1)
    old = f"{caller.path}/versions/2/predictions"
    until(lambda: caller.http.post(old, json={"inputs": inputs}).status_code == 410, what="the news")
    assert caller.http.post(f"{caller.path}/deployments", json={"version": 2}).status_code == 410
    assert caller.versions() == [1, 2, 3, 4]
    store = open_store(environment.store_url)
    assert not [digest for digest in gone if store.has(area, digest)]
    assert all(store.has(area, digest) for digest in kept)
    left = {s["digest"] for n in (1, 3, 4) for s in stored_version(environment.services[0], caller, n).shards}
    assert digests - left
    assert not [digest for digest in digests - left if store.has(SHARDS, digest)]
    with closing(environment.runtime()) as runtime:
        assert verify(runtime, caller.name, done["version"]).holds
    environment.hold()


def test_an_archived_model_can_still_be_made_to_forget(environment: Environment, new_model: NewModel) -> None:
    caller = new_model()
    first, second = (caller.learn(seed)["batches"][0] for seed in (1, 2))
    assert caller.http.delete(caller.path).status_code == 204
    listed = caller.ok("GET", f"{caller.path}/batches")["items"]
    assert [(batch["id"], batch["state"]) for batch in listed] == [(second, "learned"), (first, "learned")]
    plain = {"batches": [second], "reason": "moved out"}
    assert caller.http.post(f"{caller.path}/retractions", json=plain).status_code == 404
    answer = caller.ok("POST", f"{caller.path}/retractions?wait=30", {**plain, "erase": True})
    done = caller.end(answer["id"])
    assert (done["state"], done["version"]) == ("succeeded", None), done
    assert "archived" in done["why"]

    with closing(environment.runtime()) as runtime:
        with runtime.database.reading() as session:
            model = models.get(session, caller.name, archived_too=True)
            remaining = session.query(Version).where(Version.model_id == model.id, Version.erased_at.is_(None))
            assert ([v.number for v in remaining], model.live_version_id) == ([1], None)
            area = model_area(model.id)
        until(lambda: not unfinished(runtime), what="the deletion")
        with runtime.database.reading() as session:
            kept, gone = (session.get_one(Batch, b) for b in (first, second))
            assert gone.stored_digest is None
            entries = [d for of in ledger.digests(session, [first, second]).values() for d in of.values()]
            named = {kept.stored_digest, *entries, *(v.bits for v in session.query(Version) if v.erased_at is None)}
        assert {digest for where, digest, _ in runtime.store.names() if where == area} <= named
    assert caller.http.get(caller.path).status_code == 404
    assert caller.state(second) == "erased"
    environment.hold()


def unfinished(runtime: Runtime) -> list[int]:
    with runtime.database.reading() as session:
        return erasure.unfinished(session)
