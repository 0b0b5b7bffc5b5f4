"""Pretrained backbones over HTTP: images and texts are learned and answered; others are refused at the door."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import numpy as np
import pytest

from tests.running import Server

IMAGE = {"kind": "image", "channels": 3, "height": 12, "width": 12}
PHRASES = {
    "weather": "will it rain tomorrow in the city or is it sunny",
    "music": "play the new song of the band loud and again",
    "bank": "send money from my account to the other card",
}


@pytest.fixture
def client(shared: Server) -> Iterator[httpx.Client]:
    with shared.client(timeout=90.0) as client:
        yield client


def pictures(classes: str, n: int) -> dict[str, Any]:
    """Each class is a colour pattern under noise, as whole numbers in nested lists."""
    draw, labels = np.random.default_rng(n), [c for c in classes for _ in range(n)]
    patterns = {c: np.random.default_rng(ord(c)).integers(40, 215, (3, 4, 4)) for c in classes}
    X = np.stack([np.kron(patterns[c], np.ones((3, 3))) for c in labels]) + draw.normal(0, 20, (len(labels), 3, 12, 12))
    return {"inputs": np.clip(X, 0, 255).astype(int).tolist(), "labels": labels, "new_classes": "allow"}


def sentences(classes: list[str], n: int) -> dict[str, Any]:
    draw, labels = np.random.default_rng(n), [c for c in classes for _ in range(n)]
    inputs = [" ".join(draw.permutation(PHRASES[c].split())[:6]) for c in labels]
    return {"inputs": inputs, "labels": labels, "new_classes": "allow"}


def create(client: httpx.Client, name: str, input: dict[str, Any], backbone: dict[str, Any] | None = None) -> Any:
    architecture = {"architecture": {"backbone": backbone}} if backbone else {}
    return client.post("/v1/models", json={"name": name, "input": input, **architecture})


def learn(client: httpx.Client, model: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(f"/v1/models/{model}/updates?wait=60", json=body)
    update: dict[str, Any] = answer.json()
    assert answer.status_code == 200, update
    assert (update["state"], update["verdict"]) == ("succeeded", "promoted"), update
    return update


def ask(client: httpx.Client, model: str, inputs: list[Any]) -> list[str]:
    answer = client.post(f"/v1/models/{model}/predictions", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return [p["class"] for p in answer.json()["predictions"]]


def shards(server: Server, model: str) -> list[str]:
    """Digests of the backbone of each version."""
    with closing(sqlite3.connect(server.data / "tsuika.db")) as facts:
        rows = facts.execute(
            "select json_extract(s.value, '$.digest') from versions v join models m on m.id = v.model_id, "
            "json_each(v.shards) s where m.name = ? and json_extract(s.value, '$.part') = 'backbone.0'",
            (model,),
        )
        return [digest for (digest,) in rows]


@pytest.mark.long
@pytest.mark.sqlite
def test_images_are_learned_on_efficientnet_class_by_class(shared: Server, client: httpx.Client) -> None:
    made = create(client, "emoji", IMAGE, {"name": "efficientnet_lite0"})
    assert made.status_code == 201, made.text
    first = learn(client, "emoji", pictures("ab", 20))
    assert first["method"]["name"] in ("ridge", "lda")
    second = learn(client, "emoji", pictures("cd", 20))
    assert second["report"]["cost"]["bytes_added"] < 2_000_000, "the weights are stored once"
    exam = pictures("abcd", 3)
    right = np.array(ask(client, "emoji", exam["inputs"])) == np.array(exam["labels"])
    assert right.mean() >= 0.9
    digests = shards(shared, "emoji")
    assert len(digests) == 2
    assert len(set(digests)) == 1
    taken = client.post("/v1/models/emoji/retractions?wait=60", json={"batches": second["batches"], "reason": "test"})
    assert taken.json()["verdict"] == "promoted", taken.text
    certificate = taken.json()["report"]["certificate"]
    assert {s["part"]: s["status"] for s in certificate["shards"]}["backbone.0"] == "never saw it"
    assert set(ask(client, "emoji", exam["inputs"])) <= {"a", "b"}


@pytest.mark.long
@pytest.mark.sqlite
def test_texts_are_learned_on_minilm_by_default(client: httpx.Client) -> None:
    made = create(client, "intents", {"kind": "text"})
    assert made.status_code == 201, made.text
    assert made.json()["architecture"]["backbone"]["name"] == "minilm"
    learn(client, "intents", sentences(["weather", "music"], 12))
    learn(client, "intents", sentences(["bank"], 12))
    texts = ["is it sunny tomorrow", "play a song of this band", "money for my card", "rain " * 100]
    assert ask(client, "intents", texts) == ["weather", "music", "bank", "weather"]


@pytest.mark.long
def test_weights_that_the_operator_named_are_used(client: httpx.Client) -> None:
    assert create(client, "own", IMAGE, {"name": "resnet18", "side": 32}).status_code == 201
    learn(client, "own", pictures("ab", 15))
    exam = pictures("ab", 3)
    assert ask(client, "own", exam["inputs"]) == exam["labels"]


def test_weights_that_went_away_are_told_when_the_update_is_claimed(shared: Server, client: httpx.Client) -> None:
    assert create(client, "late", IMAGE, {"name": "mobilenet_v3_small", "side": 32}).status_code == 201
    (shared.folder / "late.safetensors").unlink()
    update = client.post("/v1/models/late/updates?wait=60", json=pictures("ab", 5)).json()
    assert update["state"] == "failed"
    assert "there is no such file" in update["error"]["detail"]
