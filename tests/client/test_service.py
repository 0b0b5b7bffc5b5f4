"""The client against a real service: what a program of somebody's own would do."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from service.client import (
    Client,
    Conflict,
    Erased,
    Forbidden,
    LiveMoved,
    MethodRefused,
    NotFound,
    NotLive,
    RemoteModel,
    Unauthorized,
    UnknownLabels,
    ledger_digest,
)
from service.contract.enums import BatchState, KeyScope, UpdateState, Verdict
from tests.client.conftest import KEY

INPUT = {"kind": "vector", "size": 4, "scale": {"range": [-8, 8]}}
RIDGE = {"name": "ridge", "lift": "none"}


def rows(seed: int, n: int = 60, classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows around one corner a class, and their numbers."""
    labels = np.arange(n) % classes
    noise = np.random.default_rng(seed).normal(0, 0.7, (n, 4))
    return np.clip(5 * np.eye(4)[labels] + noise, -8, 8).astype(np.float32), labels


@pytest.fixture
def model(client: Client, request: pytest.FixtureRequest) -> RemoteModel:
    """A model of its own for each test, with one version."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:60]
    made = client.create_model(name, INPUT, method=RIDGE)
    assert made.update(*rows(0), new_classes="allow").verdict == Verdict.PROMOTED
    return made


def test_arrays_go_in_and_classes_come_out(model: RemoteModel) -> None:
    inputs, labels = rows(1)
    answer = model.predict(inputs, top=2)
    assert [p.class_ for p in answer.predictions] == [str(label) for label in labels]
    assert all(len(p.top) == 2 and p.score == p.top[0].score for p in answer.predictions)
    info = model.info()
    assert (info.live_version, info.classes) == (1, ["0", "1", "2"])


def test_a_ledger_is_merged_by_its_path_or_as_bytes(client: Client, model: RemoteModel, tmp_path: Path) -> None:
    other = client.create_model(f"{model.name}-elsewhere", INPUT, method=RIDGE)
    other.update(*rows(4, classes=4), new_classes="allow")
    file = tmp_path / "ledger.safetensors"
    file.write_bytes(other.ledger())
    with pytest.raises(UnknownLabels):
        model.merge(file)
    update = model.merge(file, "agreed", new_classes="allow", source="elsewhere", if_live=1)
    assert (update.verdict, update.reason, update.learned_rows) == (Verdict.PROMOTED, "agreed", 60)
    assert next(batch for batch in model.batches("elsewhere")).merged == 1
    with pytest.raises(Conflict, match="merged already"):
        model.merge(other.ledger())


def test_a_stored_batch_waits_until_it_is_learned(model: RemoteModel) -> None:
    batch = model.add_batch(*rows(2), source="shop-17")
    assert model.info().pending.batches == 1
    seen: list[UpdateState] = []
    update = model.update(batches="pending", on_progress=lambda u: seen.append(u.state))
    assert update.batches == [batch.id]
    assert {*seen} <= {UpdateState.QUEUED, UpdateState.RUNNING}
    assert model.predict([[5, 0, 0, 0]]).version == update.version == 2
    assert [(b.id, b.state) for b in model.batches(source="shop-17")] == [(batch.id, BatchState.LEARNED)]
    assert batch.id not in [b.id for b in model.batches(waiting=True)]


def test_versions_move_by_hand_and_only_from_where_the_caller_thinks(model: RemoteModel) -> None:
    model.update(*rows(3))
    with pytest.raises(LiveMoved) as moved:
        model.rollback("too late", if_live=1)
    assert moved.value.live_version == 2
    assert model.rollback("bad feeling", if_live=2).live_version == 1
    assert model.promote(2, "it was fine").version == 2
    assert [d.kind for d in model.deployments()] == ["promote", "rollback", "promote", "promote"]
    assert [v.number for v in model.versions()] == [2, 1]
    assert [(v.number, v.batch_count) for v in model.version_summaries()] == [
        (v.number, len(v.batches)) for v in model.versions()
    ]
    assert model.lineage().versions[1].parent == 1
    assert [node.number for node in model.lineage(after=1).versions] == [2]


def test_a_batch_is_taken_back_bit_for_bit(model: RemoteModel) -> None:
    before = ledger_digest(model.ledger(1))
    added = model.update(*rows(4))
    suspects = model.suspects(added.batches[0])
    assert all(row.batch == added.batches[0] for row in suspects)
    assert (suspects.version, "POST" in suspects.note) == (2, False)
    assert f'.correct("{added.batches[0]}", {{...}})' in suspects.note
    assert list(model.disputes(state="open")) == []
    assert ledger_digest(model.ledger(2)) != before
    taken = model.retract(added.batches, "wrong")
    assert taken.version == 3
    certificate = model.certificate(3)
    assert certificate.ledger_digest == ledger_digest(model.ledger(3)) == before
    assert certificate.removed == added.batches
    assert model.certificate(1) is None


def test_what_is_erased_is_gone(model: RemoteModel) -> None:
    added = model.update(*rows(5))
    model.erase(added.batches, "asked for")
    with pytest.raises(Erased):
        model.predict([[0, 0, 0, 0]], version=2)
    (batch,) = (b for b in model.batches() if b.id in added.batches)
    assert batch.state == BatchState.ERASED


@pytest.mark.long
def test_weights_are_safetensors(model: RemoteModel) -> None:
    tensors = load(model.weights(1))
    assert any(name.startswith("head") for name in tensors)


def test_versions_are_named(model: RemoteModel) -> None:
    assert model.set_alias("stable", 1).version == 1
    assert [(a.name, a.version) for a in model.aliases()] == [("stable", 1)]
    assert model.version("stable").aliases == ["stable"]
    assert model.predict([[0, 0, 0, 0]], version="stable").version == 1
    assert load(model.weights("live")).keys() == load(model.weights("stable")).keys()
    model.delete_alias("stable")
    with pytest.raises(NotFound, match="stable"):
        model.version("stable")


def test_new_classes_and_settings(model: RemoteModel) -> None:
    inputs, labels = rows(6, classes=4)
    with pytest.raises(UnknownLabels, match='"3"'):
        model.update(inputs, labels)
    with pytest.raises(UnknownLabels, match='"3"'):
        model.update(inputs, labels, new_classes=["4"])
    assert model.declare("5") == ["0", "1", "2", "4", "5"]
    assert model.configure(promotion="manual").promotion == "manual"
    update = model.update(inputs, labels, new_classes=["3", "4"])
    assert model.info().classes == ["0", "1", "2", "4", "5", "3"]
    assert (update.verdict, model.info().live_version) == (Verdict.HELD, 1)


def test_refusals_have_a_type(client: Client, service_url: str, model: RemoteModel) -> None:
    empty = client.create_model("empty", INPUT)
    with pytest.raises(NotLive):
        empty.predict([[0, 0, 0, 0]])
    with pytest.raises(NotFound):
        client.model("nobody").info()
    with pytest.raises(MethodRefused, match="ridge"):
        model.update(*rows(7), method="rigde")
    with pytest.raises(Conflict):
        model.rollback("nothing before")
    done = next(model.updates())
    with pytest.raises(Conflict):
        client.cancel(done.id)
    with pytest.raises(Conflict):
        client.retry(done.id)
    said = r'The key is not the right one. Set TSUIKA_KEY, or say Client\(key="..."\).'
    with Client(service_url, "wrong") as stranger, pytest.raises(Unauthorized, match=said):
        list(stranger.models())


def test_the_service_tells_of_itself(client: Client, model: RemoteModel) -> None:
    assert model.name in [m.name for m in client.models()]
    assert {"ridge", "l2_sp", "den"} <= {m.name for m in client.methods()}
    assert (client.key().id, client.key().scopes) == ("bootstrap key", [*KeyScope])
    model.archive()
    assert model.name not in [m.name for m in client.models()]
    with pytest.raises(NotFound, match=rf'client\.model\("{model.name}"\)\.restore\(\) brings it back'):
        model.info()
    assert model.restore().archived_at is None
    assert model.name in [m.name for m in client.models()]


def test_a_stored_key_predicts_and_may_do_nothing_else(model: RemoteModel, client: Client, service_url: str) -> None:
    name = model.info().name
    order = {"name": "till 7", "scopes": ["predict"], "models": [name]}
    made = httpx.post(f"{service_url}/v1/keys", json=order, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    key = made.json()["secret"]
    with Client(service_url, key=key) as till:
        inputs, _ = rows(1)
        assert till.model(name).predict(inputs).version == 1
        with pytest.raises(Forbidden, match="learn"):
            till.model(name).update(*rows(2))
