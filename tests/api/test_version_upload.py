"""Models that were trained elsewhere become versions: checked, not live by themselves, and learned on from there."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from service.contract.enums import ENTRY
from service.contract.inputs import ImageInput
from service.errors import Busy
from service.registry import versions
from service.storage.artifacts import SHARDS
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_version

CHANCE = np.random.default_rng(0)
MLP = {
    "backbone.0/0.weight": CHANCE.normal(size=(5, 3)).astype(np.float32),
    "backbone.0/0.bias": CHANCE.normal(size=5).astype(np.float32),
    "head.0/weight": CHANCE.normal(size=(2, 5)).astype(np.float32),
    "head.0/bias": CHANCE.normal(size=2).astype(np.float32),
}
MEMBERS = {
    "architecture": '{"backbone": {"name": "mlp", "hidden": [5]}}',
    "classes": '["cat", "dog"]',
    "scale": '{"range": [-1, 1]}',
}
VERSIONS = "/v1/models/digits/versions"
ROW = [0.25, -0.5, 1.0]


def send(api: Api, data: bytes, path: str = VERSIONS, **headers: str) -> Any:
    return api("POST", path, content=data, headers={"Content-Type": "application/octet-stream", **headers})


def mlp(**changes: Any) -> bytes:
    tensors = {**MLP, **{k: v for k, v in changes.items() if "/" in k}}
    members = {**MEMBERS, **{k: v for k, v in changes.items() if "/" not in k}}
    return save(
        {k: v for k, v in tensors.items() if v is not None}, {k: v for k, v in members.items() if v is not None}
    )


def by_hand(row: list[float]) -> np.ndarray:
    hidden = np.maximum(MLP["backbone.0/0.weight"] @ row + MLP["backbone.0/0.bias"], 0)
    z = MLP["head.0/weight"] @ hidden + MLP["head.0/bias"]
    return np.exp(z) / np.exp(z).sum()


def test_an_import_answers_once_somebody_makes_it_live(api: Api) -> None:
    made = send(api, mlp())
    assert made.status_code == 201, made.text
    version = made.json()
    assert made.headers["location"] == f"{VERSIONS}/1"
    assert (version["parent"], version["update"], version["batches"], version["report"]) == (None, None, [], None)
    assert (version["classes"], version["live"], version["parameters"]) == (["cat", "dog"], False, 34)
    assert api.ok("GET", "/v1/models/digits")["classes"] == ["cat", "dog"]
    assert api("GET", "/v1/models/digits/predictions?input=[0,0,0]").status_code == 409
    prediction = api.ok("POST", f"{VERSIONS}/1/predictions", {"inputs": [ROW], "top": 2})["predictions"][0]
    assert {s["class"]: s["score"] for s in prediction["top"]} == pytest.approx(
        dict(zip(["cat", "dog"], by_hand(ROW), strict=True)), abs=1e-6
    )
    assert api("POST", "/v1/models/digits/deployments", {"version": 1}).status_code == 201
    assert api.ok("GET", "/v1/models/digits/predictions?input=[0.25,-0.5,1]")["version"] == 1
    assert api.ok("GET", "/v1/models/digits/lineage")["versions"][0]["update"] is None


def test_a_version_that_is_not_taken_in_leaves_no_parts_and_takes_away_none(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Busy("The database is held by another write; try again.")

    def parts() -> set[str]:
        return {digest for _, digest, _ in api.runtime.store.names(SHARDS)}

    with monkeypatch.context() as patched:
        patched.setattr(versions, "add", refuse)
        assert send(api, mlp()).status_code == 503
        assert parts() == set()
    assert send(api, mlp()).status_code == 201
    there = parts()
    monkeypatch.setattr(versions, "add", refuse)
    other_head = {"head.0/bias": np.ones(2, np.float32)}
    assert send(api, mlp(**other_head)).status_code == 503
    assert parts() == there != set()


def test_where_there_is_no_model_the_refusal_says_how_to_make_one(api: Api) -> None:
    refused = send(api, mlp(), "/v1/models/nobody/versions")
    assert (refused.status_code, refused.json()["remedies"][0]["do"]) == (404, "make_model")
    said = 'There is no model "nobody". Make it first, with the input that the file is made for'
    assert refused.json()["detail"].startswith(said)


def test_versions_that_predict_numbers_are_taken_in_by_no_model(api: Api) -> None:
    api.ok("POST", "/v1/models", {"name": "load", "input": {"kind": "vector", "size": 3}, "target": {"kind": "number"}})
    refused = send(api, mlp(), "/v1/models/load/versions")
    assert (refused.status_code, "learn from rows with targets" in refused.json()["detail"]) == (409, True)
    layout = json.dumps({"layout": {"numbers": {"names": ["MW"]}}})
    refused = send(api, mlp(architecture=None, classes=None, scale=None, **{ENTRY: layout}))
    assert (refused.status_code, pointers(refused)) == (422, ["/weights"])
    assert "only versions with classes are taken in" in refused.json()["detail"]


def test_promote_makes_it_live_at_once_and_a_key_makes_it_once(api: Api) -> None:
    data = mlp()
    first = send(api, data, f"{VERSIONS}?promote=true&reason=from+the+lab", **{"Idempotency-Key": "k"})
    again = send(api, data, f"{VERSIONS}?promote=true&reason=from+the+lab", **{"Idempotency-Key": "k"})
    assert (first.json()["live"], again.json()["number"], again.headers["idempotency-replayed"]) == (True, 1, "true")
    assert api.ok("GET", "/v1/models/digits/predictions?input=[0,0,0]")["version"] == 1
    assert api.ok("GET", "/v1/models/digits/deployments")["items"][0]["reason"] == "from the lab"
    assert send(api, mlp(classes='["x", "y"]'), VERSIONS, **{"Idempotency-Key": "k"}).status_code == 409


def test_the_architecture_may_come_in_parts(api: Api) -> None:
    names = {k.replace("/", "."): v for k, v in MLP.items()}
    parts = {"weights": ("m.safetensors", save(names)), **{k: (None, v) for k, v in MEMBERS.items()}}
    made = api("POST", VERSIONS, files=parts)
    assert made.status_code == 201, made.text
    assert made.json()["classes"] == ["cat", "dog"]
    bare = {**parts, "architecture": (None, '{"name": "mlp", "hidden": [5]}')}
    assert api("POST", VERSIONS, files=bare).json()["number"] == 2
    assert pointers(api("POST", VERSIONS, files={**parts, "other": (None, "1")})) == [""]
    assert pointers(api("POST", VERSIONS, files={"classes": (None, "[]")})) == ["/weights"]


def test_what_is_wrong_is_pointed_at_and_leaves_nothing(api: Api) -> None:
    for data, pointer, sentence in [
        (b"", "/weights", "too few"),
        (b"PK\x03\x04 no safetensors at all", "/weights", "cannot be read"),
        (mlp(architecture=None), "/architecture", "does not say what it is"),
        (mlp(architecture="{"), "/architecture", "architecture is not JSON: Expecting"),
        (mlp(architecture='{"backbone": {"name": "mlp", "hidden": [0]}}'), "/architecture/backbone/hidden/0", ""),
        (mlp(architecture='{"backbone": {"name": "nothing-like-it"}}'), "/architecture/backbone/name", ""),
        (mlp(architecture='{"backbone": {"name": "cnn"}}'), "/architecture/backbone/name", "cnn takes images"),
        (mlp(architecture='{"backbone": {"name": "mlp", "hidden": [4096, 4096]}}'), "/weights", "needs at least"),
        (mlp(classes=None), "/classes", "classes is missing"),
        (mlp(classes='["cat", "cat "]'), "/classes/1", "name of column 1 already"),
        (mlp(classes='["cat", null]'), "/classes/1", "A label is text"),
        (mlp(classes='["cat", "a\\u0000"]'), "/classes/1", "control"),
        (mlp(classes='["cat"]'), "/weights", "has the shape [2, 5]"),
        (mlp(scale=None), "/scale", "Nobody says how inputs are scaled"),
        (mlp(scale='{"range": [1, 0]}'), "/scale", "lo < hi"),
        (mlp(scale='{"mean": [1, 2], "std": 1}'), "/input/scale/mean", "lists 2 values"),
        (mlp(**{"head.0/bias": None}), "/weights", '"head.0/bias" is missing'),
        (mlp(**{"head.0/bias": np.zeros(3, np.float32)}), "/weights", "has the shape [3]"),
        (mlp(**{"head.0/bias": np.full(2, np.inf, np.float32)}), "/weights/head.0~1bias", "not finite"),
        (mlp(**{"more/weight": np.zeros(3, np.float32)}), "/weights", 'no tensor "more/weight"'),
        (mlp(**{"head.0/weight": np.full((2, 5), 3e38, np.float32)}), "/weights", "not finite"),
    ]:
        refused = send(api, data)
        assert refused.status_code == 422, refused.text
        assert pointers(refused) == [pointer], sentence
        assert sentence in refused.json()["detail"]
        assert api.ok("GET", VERSIONS)["items"] == [], sentence
        assert api.ok("GET", "/v1/models/digits")["classes"] == [], sentence


def test_what_one_model_gives_another_takes(api: Api) -> None:
    make_version(api.runtime, classes=["c", "a", "b"])
    file = api("GET", f"{VERSIONS}/1/weights").content
    api.ok("POST", "/v1/models", {"name": "other", "input": {"kind": "vector", "size": 3}})
    made = send(api, file, "/v1/models/other/versions?promote=true")
    assert made.status_code == 201, made.text
    assert made.json()["classes"] == ["c", "a", "b"]
    ours, others = (api.ok("GET", f"/v1/models/{m}/predictions?input=[1,2,3]&top=3") for m in ("digits", "other"))
    assert ours["predictions"] == others["predictions"]
    assert load(api("GET", "/v1/models/other/versions/1/weights").content).keys() == load(file).keys()
    renamed = api("POST", "/v1/models/other/versions", files={"weights": file, "classes": (None, '["x", "y", "z"]')})
    assert renamed.json()["classes"] == ["x", "y", "z"]
    for spec in (
        {"kind": "vector", "size": 4},
        {"kind": "text"},
        {"kind": "vector", "size": 3, "scale": {"range": [0, 9]}},
    ):
        name = f"m{len(json.dumps(spec))}"
        api.ok("POST", "/v1/models", {"name": name, "input": spec})
        assert send(api, file, f"/v1/models/{name}/versions").status_code == 422


def test_a_layout_that_does_not_fit_is_refused(api: Api) -> None:
    make_version(api.runtime)
    file = api("GET", f"{VERSIONS}/1/weights").content
    length = int.from_bytes(file[:8], "little")
    metadata = json.loads(json.loads(file[8 : 8 + length])["__metadata__"]["tsuika"])
    for change in [
        {"temperature": 0},
        {"shift": 10**6},
        {"classes": ["a"]},
        {"head": []},
        {"head": [{"rows": [0, 10**9], "columns": [0, 3], "part": "head.0"}]},
        {"head": [{"rows": [5, 7], "columns": [0, 3], "part": "head.0"}]},
        {"head": [{"rows": [0, 2], "columns": [10**9, 10**9 + 3], "part": "head.0"}]},
        {"head": [{"rows": [0, 2], "columns": [1, 4], "part": "head.0"}]},
        {"head": [{"rows": [0, 2], "columns": [0, 3], "part": "nowhere"}]},
        {"neck": [[{"rows": [0, 2], "columns": [0, 3], "part": "head.0"}]]},
        {"lifts": [{"kind": "relu", "width": 5}]},
        {"backbone": {"name": "mlp", "hidden": [4]}, "layers": [[]]},
        {"backbone": {"name": "cnn"}},
        {"backbone": {"name": "minilm"}},
        {"inserted": [{"of": "backbone", "layer": 0, "rows": [0, 1], "columns": [0, 1], "part": "head.0"}]},
        {"low_rank": [{"at": "layers.0", "scale": 1, "part": "head.0"}]},
        {"low_rank": [{"at": "__class__", "scale": 1, "part": "head.0"}]},
        {"input": {"kind": "vector", "size": 4}},
        {"extra": 1},
        {"head": 5},
    ]:
        edited = {**metadata, "layout": {**metadata["layout"], **change}}
        changed = save(load(file), {"tsuika": json.dumps(edited)})
        refused = send(api, changed)
        assert refused.status_code == 422, refused.text
        assert len(api.ok("GET", VERSIONS)["items"]) == 1, change


def test_methods_that_would_lose_its_classes_are_refused_at_once(api: Api) -> None:
    send(api, mlp(), f"{VERSIONS}?promote=true")
    one = {"inputs": [ROW], "labels": ["new"], "new_classes": "allow"}
    for method in ("ridge", "retrain", "si", "linear_probe"):
        refused = api("POST", "/v1/models/digits/updates", {**one, "method": {"name": method}})
        assert (refused.status_code, pointers(refused)) == (422, ["/method/name"]), refused.text
        assert "mas" in refused.json()["detail"]
    assert api.ok("GET", "/v1/models/digits/batches")["items"] == []
    assert api("POST", "/v1/models/digits/updates", {**one, "method": {"name": "mas"}}).status_code == 202
    assert api("POST", "/v1/models/digits/updates", one).status_code == 202
    every = {"inputs": [ROW, [0, 0, 0]], "labels": ["cat", "dog"], "method": {"name": "ridge"}}
    nothing_old = api("POST", "/v1/models/digits/updates", {**every, "method": {"name": "replay"}})
    assert (nothing_old.status_code, pointers(nothing_old)) == (422, ["/method/name"])
    assert api("POST", "/v1/models/digits/updates", every).status_code == 202


def test_a_linear_head_and_one_on_a_known_backbone_are_taken(api: Api) -> None:
    head = {"head.0/weight": np.eye(2, 3, dtype=np.float32), "head.0/bias": np.zeros(2, np.float32)}
    linear = save(head, {**MEMBERS, "architecture": '{"name": "identity"}'})
    made = send(api, linear, f"{VERSIONS}?promote=true")
    assert made.status_code == 201, made.text
    prediction = api.ok("GET", "/v1/models/digits/predictions?input=[1,0,0]&top=2")["predictions"][0]
    assert prediction["score"] == pytest.approx(np.e / (np.e + 1))


@pytest.mark.long
def test_a_head_on_the_sentence_encoder_is_taken(make_api: MakeApi) -> None:
    api = make_api(max_body_bytes=2**27)
    api.ok("POST", "/v1/models", {"name": "intents", "input": {"kind": "text"}})
    head = {"head.0.weight": np.zeros((2, 384), np.float32), "head.0.bias": np.array([0, 1], np.float32)}
    members = {"architecture": '{"name": "minilm"}', "classes": '["a", "b"]'}
    made = send(api, save(head, members), "/v1/models/intents/versions?promote=true")
    assert made.status_code == 201, made.text
    answer = api.ok("GET", "/v1/models/intents/predictions?input=where+is+my+order%3F")["predictions"][0]
    assert (answer["class"], answer["score"]) == ("b", pytest.approx(np.e / (np.e + 1)))
    whole = api("GET", "/v1/models/intents/versions/1/weights?whole=true").content
    small = api("GET", "/v1/models/intents/versions/1/weights").content
    assert len(small) < len(whole) / 1000
    again = send(api, small, "/v1/models/intents/versions?promote=true")
    assert again.status_code == 201, again.text
    same = api.ok("GET", "/v1/models/intents/predictions?input=where+is+my+order%3F")["predictions"][0]
    assert same == answer
    other = re.sub(rb'(left_out\\":\{\\"backbone.0\\":\\")....', rb"\1abcd", small)
    assert other != small
    assert "are others" in send(api, other, "/v1/models/intents/versions").json()["detail"]
    tensors = load(whole)
    tuned = {**tensors, "head.0/bias": head["head.0.bias"]}
    changed = next(name for name in tuned if name.startswith("backbone.0/") and name.endswith("bias"))
    tuned[changed] = tensors[changed] + np.float32(0.5)
    assert send(api, save(tuned, members), "/v1/models/intents/versions").status_code == 201
    own = api("GET", "/v1/models/intents/versions/3/weights").content
    assert changed in load(own), "no other service has weights that were trained elsewhere"
    assert (
        send(api, save(head, {**members, "scale": '{"range": [0, 1]}'}), "/v1/models/intents/versions").status_code
        == 422
    )


def test_a_file_that_is_too_large_is_told_how_to_be_smaller(make_api: MakeApi) -> None:
    api = make_api(max_body_bytes=1024)
    refused = send(api, b" " * 2000)
    assert refused.status_code == 413
    assert "without whole=true" in refused.json()["detail"]
    assert "batches" not in refused.json()["detail"]


def test_a_backbone_that_nobody_here_knows_is_asked_of_nobody_else(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for opens in ("torch.hub.load_state_dict_from_url", "socket.create_connection"):
        monkeypatch.setattr(opens, lambda *_, **__: pytest.fail("it asks the internet"))
    api = make_api()
    spec = {"kind": "image", "channels": 3, "height": 8, "width": 8}
    api.ok("POST", "/v1/models", {"name": "digits", "input": spec})
    for by in ["architecture", "layout"]:
        for name in ["fcn_resnet50", "timm/hf-hub:timm/vit", "hf_hub:timm/vit", "local-dir:/etc", "../x"]:
            backbone = {"backbone": {"name": name}}
            said = {"architecture": json.dumps(backbone), "classes": '["a"]'}
            if by == "layout":
                said = {ENTRY: json.dumps({"layout": {**backbone, "input": spec}, "classes": ["a"]})}
            refused = send(api, save({"backbone.0/x": np.zeros(1, np.float32)}, said))
            assert (refused.status_code, pointers(refused)) == (422, ["/architecture/backbone/name"]), refused.text
            made = api("POST", "/v1/models", {"name": "more", "input": spec, "architecture": backbone})
            assert (made.status_code, pointers(made)) == (422, ["/architecture/backbone/name"]), (by, name)


def test_a_convolutional_network_is_taken(make_api: MakeApi) -> None:
    api = make_api()
    spec = ImageInput(kind="image", channels=1, height=8, width=8)
    api.ok("POST", "/v1/models", {"name": "faces", "input": spec.model_dump()})
    members = {"architecture": '{"name": "cnn", "channels": [2]}', "classes": '["a", "b", "c"]'}
    refused = send(api, save({"x": np.zeros(999, np.float32)}, members), "/v1/models/faces/versions")
    due = dict(part.rsplit(" [", 1) for part in refused.json()["detail"].partition(" has ")[2][:-1].split("], "))
    tensors = {
        name: CHANCE.normal(size=json.loads("[" + shape.rstrip("]") + "]")).astype(np.float32)
        for name, shape in due.items()
    }
    made = send(api, save(tensors, members), "/v1/models/faces/versions?promote=true")
    assert made.status_code == 201, made.text
    assert len(api.ok("POST", "/v1/models/faces/predictions", {"inputs": [np.zeros((1, 8, 8)).tolist()]})) == 3


def test_other_content_types_are_refused(api: Api) -> None:
    assert send(api, mlp(), **{"Content-Type": "application/json"}).status_code == 415
    assert send(api, mlp(), "/v1/models/digits/batches").status_code == 415
