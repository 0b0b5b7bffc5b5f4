"""Models that keep some of their learned rows, or none: what is deleted is gone from the disk, and nothing else is."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.learning.data.rows import SELECT_FOLD, Known, Rows, bounded, rows_of
from service.learning.data.sides import Folding
from service.registry import models
from service.registry.rows import retention
from service.registry.sql.engines import open_database
from service.runtime import Runtime
from service.settings import Settings
from service.upkeep.verify import verify
from tests.acceptance import invariants
from tests.acceptance.conftest import NewModel
from tests.acceptance.service import Caller, blobs, slow, stored_version, until
from tests.running import Server

MLP = {"backbone": {"name": "mlp", "hidden": [8]}}


def kept(caller: Caller, batch_id: str) -> int:
    """Rows of a batch that are still stored."""
    number: int = caller.ok("GET", f"{caller.path}/batches/{batch_id}")["kept_rows"]
    return number


def let_go(caller: Caller, batch_id: str, rows: int = 0) -> None:
    until(lambda: kept(caller, batch_id) <= rows, what=f"{batch_id} is let go")
    until(lambda: not left_to_delete(caller.server), what="every deletion")  # it comes a moment later


def left_to_delete(server: Server) -> bool:
    with closing(open_database(server.database_url)) as database, database.reading() as session:
        return bool(retention.doomed(session))


def rows_of_blobs(server: Server, caller: Caller, seed: int) -> Rows:
    """The rows that `blobs` makes, as the model folds them."""
    with closing(open_database(server.database_url)) as database, database.reading() as session:
        secret, model = models.installation_secret(session), models.get(session, caller.name)
        folding = Folding.model_validate({"input": model.input, **(model.folding or {})})
    assert folding.settled
    inputs, labels = blobs(seed)
    return rows_of(f"bat_{seed}", np.asarray(inputs, np.float32), labels, secret, Known(folding=folding))


def learning(server: Server, caller: Caller, seed: int) -> NDArray[np.float32]:
    """Those of them that are learned by methods that train."""
    rows = rows_of_blobs(server, caller, seed)
    return np.asarray(rows.inputs[rows.folds > SELECT_FOLD], np.float32)


def traces(server: Server, caller: Caller, seed: int) -> tuple[int, int]:
    """How many learning rows of a batch, as they were sent and as they were rounded, lie under the data folder."""
    with closing(open_database(server.database_url)) as database, database.reading() as session:
        area = f"-{models.get(session, caller.name).id}/"
    learned = learning(server, caller, seed)
    assert len(learned) > 20
    grid = np.rint(np.clip(learned / 8, -8, 8) * 2.0**12).astype("<i2")
    files = [p for p in server.data.rglob("*") if p.is_file() and area in str(p.relative_to(server.data))]
    written = b"".join(p.read_bytes() for p in files)
    return sum(r.tobytes() in written for r in learned), sum(r.tobytes() in written for r in grid)


@pytest.mark.long
def test_without_rows_the_ledger_goes_on_as_if_all_were_kept(shared: Server, new_model: NewModel) -> None:
    every, none = new_model(), new_model(retention="none")
    ids: dict[Caller, list[str]] = {}
    for caller in (every, none):
        ids[caller] = [caller.learn(seed)["batches"][0] for seed in (1, 2)]
    for batch_id in ids[none]:
        let_go(none, batch_id)
    assert traces(shared, every, 1) == (len(learning(shared, every, 1)),) * 2
    assert traces(shared, none, 1) == traces(shared, none, 2) == (0, 0)
    last = {caller: caller.learn(3) for caller in (every, none)}
    let_go(none, last[none]["batches"][0])
    keeping, not_keeping = stored_version(shared, every, 3), stored_version(shared, none, 3)
    assert keeping.ledger_digest == not_keeping.ledger_digest
    assert last[every]["report"]["after"] == last[none]["report"]["after"]

    taken = {caller: caller.retract(ids[caller][:1]) for caller in (every, none)}
    assert [taken[c]["verdict"] for c in (every, none)] == ["promoted", "promoted"], taken
    assert taken[none]["report"]["certificate"]["exact"]
    digests = [taken[c]["report"]["certificate"]["ledger_digest"] for c in (every, none)]
    assert digests[0] == digests[1]
    with closing(Runtime(Settings(data=shared.data))) as runtime:
        for number in (3, 4):
            assert verify(runtime, none.name, number).holds
    assert none.http.get(f"{none.path}/versions/4/ledger").status_code == 200
    invariants.hold(shared.data, [*ids[none], *ids[every]])


@pytest.mark.long
def test_a_network_that_was_trained_here_does_not_go_on_without_rows(new_model: NewModel) -> None:
    caller = new_model(architecture=MLP, retention="none")
    body: dict[str, Any] = {"batches": [caller.batch(1)], "method": slow(2)}
    assert caller.http.post(f"{caller.path}/updates", json=body).status_code == 422
    trained = new_model(architecture=MLP, method=slow(2))
    trained.learn(1)
    assert trained.http.patch(trained.path, json={"retention": "none"}).status_code == 422
    refused = trained.http.patch(trained.path, json={"retention": "none", "method": {"name": "auto"}})
    assert (refused.status_code, "exemplars" in refused.json()["detail"]) == (409, True)


@pytest.mark.long
def test_exemplars_are_rehearsed_and_what_was_trained_on_lost_rows_stays(shared: Server, new_model: NewModel) -> None:
    caller = new_model(architecture=MLP, method=slow(2), retention="exemplars", memory_rows=12)
    first = caller.learn(1)["batches"][0]
    rows_1, rows_2 = (rows_of_blobs(shared, caller, seed) for seed in (1, 2))
    judges = bounded(rows_1.take(rows_1.judging))
    let_go(caller, first, 12 + len(judges))
    second = caller.learn(2, method={"name": "replay", "epochs": 2})
    assert sum(second["report"]["method"]["memory"].values()) == 12
    let_go(caller, second["batches"][0], 40)
    with_new = bounded(Rows.concat([judges, rows_2.take(rows_2.judging)]))
    judging = len(judges) + int((with_new.batch == with_new.batches.index("bat_2")).sum())
    both = [first, second["batches"][0]]
    until(lambda: sum(kept(caller, b) for b in both) == 12 + judging, what="room for rows of smaller hashes")
    third = caller.learn(3)["batches"][0]
    let_go(caller, third, 40)

    refused = caller.http.post(f"{caller.path}/retractions", json={"batches": [second["batches"][0]], "reason": "bad"})
    assert (refused.status_code, refused.json()["nearest_clean"]) == (409, 1), refused.text
    assert caller.state(second["batches"][0]) == "learned"
    caller.ok("POST", f"{caller.path}/deployments", {"version": 1, "reason": "clean"})
    again = caller.http.post(f"{caller.path}/updates", json={"batches": [third]})
    assert (again.status_code, "anew" in again.json()["detail"]) == (409, True)
    assert caller.http.post(f"{caller.path}/updates", json={"batches": "pending"}).status_code == 409
    assert caller.retract([second["batches"][0]], erase=True)["state"] == "succeeded"
    assert caller.batch(3) != third
    invariants.hold(shared.data, [first, third])


@pytest.mark.long
def test_all_to_none_deletes_and_none_to_all_keeps_what_comes(shared: Server, new_model: NewModel) -> None:
    caller = new_model(method={"name": "ridge", "lift": "auto"})
    ids = [caller.learn(seed)["batches"][0] for seed in (1, 2)]
    waits = caller.batch(3)
    caller.ok("PATCH", caller.path, {"retention": "none"})
    for batch_id in ids:
        let_go(caller, batch_id)
    assert traces(shared, caller, 1) == traces(shared, caller, 2) == (0, 0)
    assert kept(caller, waits) == 60, "what waits is yet to be learned"
    named = {"batches": [waits], "method": {"name": "ridge", "lift": "relu", "width": 37}}
    refused = caller.http.post(f"{caller.path}/updates", json=named)
    assert (refused.status_code, "feature space cannot change" in refused.json()["detail"]) == (422, True)
    space = caller.version(2)["feature_space"]
    assert caller.end(caller.order("pending")["id"])["verdict"] == "promoted"
    let_go(caller, waits)
    caller.ok("PATCH", caller.path, {"retention": "all"})
    later = caller.learn(4, rows=400)
    assert (later["verdict"], caller.version(4)["feature_space"]) == ("promoted", space)
    assert kept(caller, later["batches"][0]) == 400
    assert [kept(caller, b) for b in ids] == [0, 0]
    invariants.hold(shared.data, [*ids, waits, *later["batches"]])


@pytest.mark.long
@pytest.mark.parametrize("method", [{"name": "ridge"}, {"name": "linear_probe", "epochs": 2}])
def test_old_versions_lose_their_parts_and_all_goes_on(
    shared: Server, new_model: NewModel, method: dict[str, Any]
) -> None:
    caller = new_model(method=method, keep_versions=2)
    sent = [caller.learn(seed)["batches"] for seed in range(5)]
    until(lambda: caller.version(3)["erased_at"] is not None, what="version 3 is removed")
    assert [caller.version(number)["erased_at"] is None for number in range(1, 6)] == [False, False, False, True, True]
    assert (caller.version(1)["report"]["gate"]["outcome"], caller.version(1)["shards"]) == ("pass", [])
    inputs, _ = blobs(9, rows=3)
    refused = caller.http.post(f"{caller.path}/versions/1/predictions", json={"inputs": inputs})
    assert (refused.status_code, "(keep_versions)" in refused.json()["detail"]) == (410, True)
    taken = caller.ok("POST", f"{caller.path}/retractions?wait=60", {"batches": sent[1]})
    assert (taken["verdict"], caller.live()) == ("promoted", 6)
    assert sorted(caller.version(6)["batches"]) == sorted(
        batch for batches in (sent[0], *sent[2:]) for batch in batches
    )
    assert caller.learn(6)["verdict"] == "promoted"
    until(lambda: caller.version(5)["erased_at"] is not None, what="version 5 is removed")
    invariants.hold(shared.data)
