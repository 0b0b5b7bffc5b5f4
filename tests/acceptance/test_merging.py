"""Services that train apart and send their sums alone have what one service trained on all rows has."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from service.learning.data.serialization import unpack
from service.runtime import Runtime
from service.settings import Settings
from service.upkeep.verify import verify
from tests.acceptance.conftest import NewModel
from tests.acceptance.service import Caller, blobs, held, until
from tests.alike import alike
from tests.running import Server

METHOD = {"name": "ridge", "lift": "none", "alpha": 0.1}
SENT = {"Content-Type": "application/octet-stream"}


def ledger(caller: Caller, version: int | str = "live") -> bytes:
    return caller.http.get(f"{caller.path}/versions/{version}/ledger").raise_for_status().content


def digest(caller: Caller) -> str:
    """Of what is live."""
    return str(unpack(ledger(caller))[1]["digest"])


def merge(caller: Caller, data: bytes, **query: Any) -> dict[str, Any]:
    """The update of a merge, once it has succeeded."""
    query = {"wait": 60, "new_classes": "allow", **query}
    done = caller.ok("POST", f"{caller.path}/merges", params=query, content=data, headers=SENT)
    done = caller.end(done["id"])
    assert done["state"] == "succeeded", done
    return done


def heads(caller: Caller) -> dict[str, list[float]]:
    """Weights and bias of each class that is live."""
    weights = load(caller.http.get(f"{caller.path}/versions/live/weights").raise_for_status().content)
    names = caller.version(caller.live() or 0)["classes"]
    columns = np.column_stack([weights["head.0/weight"], weights["head.0/bias"]])
    return dict(zip(names, columns.tolist(), strict=True))


@pytest.mark.long
def test_merged_is_centrally_trained_and_taken_back_is_never_merged(shared: Server, new_model: NewModel) -> None:
    central, a, b, c = (new_model(method=METHOD) for _ in range(4))
    brought = {}
    for seed, (site, classes) in enumerate([(a, "abc"), (b, "bcd"), (c, "ae")]):
        site.learn(seed, classes=classes)
        brought[site] = central.learn(seed, classes=classes)["batches"]
    first = merge(a, ledger(b), source="b")
    assert (first["verdict"], first["learned_rows"]) == ("promoted", 60)
    assert "60 rows from elsewhere" in first["report"]["notes"][-1]
    merge(a, ledger(c))
    assert digest(a) == digest(central)
    assert heads(a) == heads(central)
    live = a.version(3)
    assert set(first["batches"]) < set(live["batches"])
    with closing(Runtime(Settings(data=shared.data))) as runtime:
        verified = verify(runtime, a.name, 3)
    assert (verified.holds, verified.rows, verified.merged) == (True, 180, 120)

    merge(b, ledger(c))
    again = a.http.post(f"{a.path}/merges", content=ledger(b), headers=SENT)
    assert (again.status_code, again.json()["batch"]) == (409, first["batches"][0]), "it holds what b sent before"
    a.learn(7, classes="abc")
    central.learn(7, classes="abc")
    assert digest(a) == digest(central)
    certificate = a.retract(first["batches"])["report"]["certificate"]
    central.retract(brought[b])
    assert (certificate["ledger_digest"], certificate["rows"]) == (digest(central), 180)
    assert heads(a) == heads(central)
    assert merge(a, ledger(b, 1))["batches"] != first["batches"], "taken back, it may come again"


@pytest.mark.long
def test_a_ledger_that_comes_while_rows_are_learned_is_merged_after_them(shared: Server, new_model: NewModel) -> None:
    central, a, b = (new_model(method=METHOD) for _ in range(3))
    for model, seed in ((a, 0), (b, 1), (central, 0), (central, 1)):
        model.learn(seed)
    with held([shared.pid]):
        update = a.order([a.batch(2)])["id"]
        until(lambda: a.update(update)["state"] == "running", what="the claim")
        sent = a.ok("POST", f"{a.path}/merges?new_classes=allow", content=ledger(b), headers=SENT)
        assert (sent["state"], a.update(update)["state"]) == ("queued", "running")
    ended = [a.end(each) for each in (update, sent["id"])]
    central.learn(2)
    assert [(each["verdict"], each["version"], each["attempts"]) for each in ended] == [
        ("promoted", 2, 1),
        ("promoted", 3, 1),
    ]
    assert (digest(a), heads(a)) == (digest(central), heads(central))


@pytest.mark.long
def test_numbers_are_merged_as_classes_are(new_model: NewModel) -> None:
    target, method = {"kind": "number", "range": [-40, 40]}, {**METHOD, "decay": 1}
    central, a, b = (new_model(target=target, method=method) for _ in range(3))
    inputs = [blobs(seed)[0] for seed in range(2)]
    for site, rows in zip((a, b), inputs, strict=True):
        body = {"inputs": rows, "targets": [round(sum(row), 2) for row in rows]}
        for model in (site, central):
            done = model.end(model.ok("POST", f"{model.path}/updates?wait=60", body)["id"])
            assert done["verdict"] == "promoted", done
    done = merge(a, ledger(b))
    assert (done["verdict"], digest(a)) == ("promoted", digest(central))
    merged, centrally = (
        [p["value"] for p in model.ok("POST", f"{model.path}/predictions", {"inputs": inputs[1]})["predictions"]]
        for model in (a, central)
    )
    assert alike(merged, centrally)


@pytest.mark.long
def test_tables_are_merged_where_each_column_is_declared(new_model: NewModel) -> None:
    """Each site has towns and shops that no other has; some cells are empty."""
    columns = [
        {"name": "size", "kind": "number", "scale": {"range": [0, 10]}},
        {"name": "town", "kind": "category", "values": ["Kyoto", "Nara", "Uji"]},
        {"name": "shop", "kind": "category", "many": True},
    ]
    central, a, b = (new_model(input={"kind": "table", "columns": columns}, method=METHOD) for _ in range(3))
    sent = []
    for site, towns in ((a, ("Kyoto", "Nara")), (b, ("Nara", "Uji"))):
        cells = [[k % 10, towns[k % 2], None if k % 7 == 0 else f"{towns[0]} {k % 4}"] for k in range(60)]
        sent.append({"inputs": cells, "labels": [f"{row[1]} {row[0] > 4}" for row in cells], "new_classes": "allow"})
        for model in (site, central):
            done = model.end(model.ok("POST", f"{model.path}/updates?wait=60", sent[-1])["id"])
            assert done["verdict"] == "promoted", done
    done = merge(a, ledger(b))
    assert (done["verdict"], digest(a), heads(a)) == ("promoted", digest(central), heads(central))
    asked = {"inputs": sent[1]["inputs"]}
    answers = (model.ok("POST", f"{model.path}/predictions", asked)["predictions"] for model in (a, central))
    merged, centrally = ([row["class"] for row in rows] for rows in answers)
    assert alike(merged, centrally), "scores differ: the temperature is chosen by the rows that are here"


@pytest.mark.long
def test_a_merge_is_rolled_back_held_and_erased_like_any_update(new_model: NewModel) -> None:
    a, b = new_model(method=METHOD), new_model(method=METHOD)
    a.learn(0)
    before = digest(a)
    b.learn(1)
    sent = ledger(b)
    batch = merge(a, sent)["batches"]
    a.roll_back()
    assert (digest(a), a.state(batch[0])) == (before, "pending")
    held = merge(a, sent)
    assert (held["verdict"], held["batches"]) == ("held", batch), "the same ledger is the same batch"
    a.ok("POST", f"{a.path}/deployments", {"version": held["version"]})
    assert a.order([a.batch(2)], wait=60, method={"name": "auto"})["verdict"] == "held", "auto goes on in its space"
    refused = a.end(a.order([a.batch(3)], method={"name": "retrain"})["id"])
    assert "are elsewhere (a merged ledger)" in refused["error"]["detail"]
    a.retract(batch, erase=True)
    until(lambda: a.state(batch[0]) == "erased", what="the erasure")
    assert digest(a) == before
    assert a.http.get(f"{a.path}/versions/{held['version']}/ledger").status_code == 410
    assert merge(a, sent)["batches"] != batch


def test_labels_that_are_wrong_elsewhere_are_stopped_by_rows_that_are_here(new_model: NewModel) -> None:
    a, b = new_model(method=METHOD), new_model(method=METHOD)
    a.learn(0, rows=200)
    inputs, labels = blobs(1, rows=600)
    wrong = {"a": "b", "b": "c", "c": "d", "d": "a"}
    body = {"inputs": inputs, "labels": [wrong[label] for label in labels], "new_classes": "allow"}
    b.end(b.ok("POST", f"{b.path}/updates?wait=60", body)["id"])
    done = merge(a, ledger(b))
    assert (done["verdict"], a.live()) == ("rejected", 1), done["report"]["gate"]["why"]
