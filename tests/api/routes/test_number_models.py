"""Models that predict numbers: made, looked at, changed; what is wrong with a target is pointed at."""

from __future__ import annotations

from typing import Any

from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.resources import Model
from tests.api.conftest import Api, pointers

VECTOR = {"kind": "vector", "size": 4}
NUMBER = {"kind": "number", "names": ["MW"], "from": 3}
LOAD = "/v1/models/load"


def made(api: Api, **fields: Any) -> Any:
    return api.ok("POST", "/v1/models", {"name": "load", "input": VECTOR, "target": NUMBER, **fields})


def test_a_model_that_names_no_target_predicts_classes(api: Api) -> None:
    model = api.ok("GET", "/v1/models/digits")
    assert model["target"] == {"kind": "class"}
    assert model["gate"] == GatePolicy().model_dump(mode="json")
    assert api.ok("POST", "/v1/models", {"name": "x", "input": VECTOR, "target": {"kind": "class"}})["classes"] == []


def test_a_model_shows_its_target_and_the_rules_for_numbers(api: Api) -> None:
    model = made(api, gate={"outliers": {"times": 4}})
    assert {name: value for name, value in model["target"].items() if value is not None} == {
        **NUMBER,
        "size": 1,
        "scale": "linear",
        "level": 0.9,
    }
    assert model["classes"] == []
    assert (model["gate"]["outliers"]["times"], model["gate"]["outliers"]["p"]) == (4, 1e-4)
    assert model["gate"].keys() == NumberPolicy.model_fields.keys()
    assert api.ok("GET", LOAD) == model
    client = Model.model_validate(model)
    assert isinstance(client.gate, NumberPolicy)
    assert [m["target"]["kind"] for m in api.ok("GET", "/v1/models")["items"]] == ["number", "class"]


def test_what_is_wrong_with_a_target_is_pointed_at(api: Api) -> None:
    for target, pointer in [
        ({"kind": "numbers"}, "/target/kind"),
        ({"kind": "number", "size": 0}, "/target/size"),
        ({"kind": "number", "size": 17}, "/target/size"),
        ({"kind": "number", "size": 2, "names": ["a"]}, "/target"),
        ({"kind": "number", "size": 2, "names": ["a", "a"]}, "/target"),
        ({"kind": "number", "names": [""]}, "/target/names/0"),
        ({"kind": "number", "names": ["a\u202e"]}, "/target/names/0"),
        ({"kind": "number", "range": [1, 1]}, "/target"),
        ({"kind": "number", "range": [0, 1e200]}, "/target"),
        ({"kind": "number", "range": [0, 1], "step": 0.1}, "/target"),
        ({"kind": "number", "step": 0}, "/target/step"),
        ({"kind": "number", "scale": "log", "range": [0, 1]}, "/target"),
        ({"kind": "number", "scale": "log", "step": 0.1}, "/target"),
        ({"kind": "number", "scale": "log", "from": 1}, "/target"),
        ({"kind": "number", "scale": "root"}, "/target/scale"),
        ({"kind": "number", "level": 0.4}, "/target/level"),
        ({"kind": "number", "level": 1}, "/target/level"),
        ({"kind": "number", "from": 4}, "/target/from"),
        ({"kind": "number", "from": -1}, "/target/from"),
        ({"kind": "number", "from": "price"}, "/target/from"),
        ({"kind": "number", "yardstick": {"column": 4}}, "/target/yardstick/column"),
        ({"kind": "number", "yardstick": "median"}, "/target/yardstick"),
        ({"kind": "number", "colour": "red"}, "/target/colour"),
        ({"kind": "class", "size": 1}, "/target/size"),
    ]:
        refused = api("POST", "/v1/models", {"name": "load", "input": VECTOR, "target": target})
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert api("GET", LOAD).status_code == 404, target


def test_a_column_is_named_by_its_place(api: Api) -> None:
    model = {"name": "load", "input": VECTOR}
    named = api("POST", "/v1/models", {**model, "target": {"kind": "number", "from": "price"}}).json()["detail"]
    assert named == "target.from is the place of a column, counted from 0, not its name."
    bare = api("POST", "/v1/models", {**model, "target": {"kind": "number", "yardstick": "column"}}).json()["detail"]
    assert bare == 'target.yardstick should be "mean", "last" or a column by its place, such as {"column": 3}.'


def test_what_does_not_go_with_a_target_is_refused(api: Api) -> None:
    for fields, pointer, word in [
        ({"classes": ["a"]}, "/classes", "no classes"),
        ({"method": {"name": "lda"}}, "/method/name", "Use auto, ridge or replay"),
        ({"method": {"name": "auto", "stable_scores": True}}, "/method/stable_scores", "Leave it out"),
        ({"gate": {"intrudes": {"margin": 0.1}}}, "/gate/intrudes", "models that predict classes"),
        ({"gate": {"forgets": {"p_hold": 0.1}}}, "/gate/forgets/p_hold", "models that predict classes"),
        ({"gate": {"forgets": {"max_rise": 0.3}}}, "/gate/forgets/max_rise", "nothing would be held"),
        ({"gate": {"worst_region": {"reject_rise": 0.1}}}, "/gate/worst_region/max_rise", "nothing would be held"),
        ({"gate": {"outlier": {"times": 4}}}, "/gate/outlier", "not known"),
        ({"input": {"kind": "text"}}, "/target/from", "texts"),
        ({"input": {"kind": "image", "channels": 1, "height": 2, "width": 2}}, "/target/from", "images"),
        ({"target": {"kind": "class"}, "gate": {"outliers": {}}}, "/gate/outliers", "models that predict numbers"),
    ]:
        refused = api("POST", "/v1/models", {"name": "load", "input": VECTOR, "target": NUMBER, **fields})
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert word in refused.json()["detail"], fields
        assert api("GET", LOAD).status_code == 404, fields


def test_yardstick_and_level_change_and_nothing_else_of_a_target(api: Api) -> None:
    model = made(api)
    tag = api("GET", LOAD).headers["etag"]
    changed = api("PATCH", LOAD, {"target": {"level": 0.8, "yardstick": {"column": 0}}}, headers={"If-Match": tag})
    assert changed.json()["target"] == {**model["target"], "level": 0.8, "yardstick": {"column": 0}}
    assert changed.headers["etag"] != tag
    assert api.ok("PATCH", LOAD, {"target": {"yardstick": "last"}})["target"]["level"] == 0.8
    for sent, pointer, word in (
        ({"target": {"size": 2}}, "/target/size", "Make another model"),
        ({"target": {"from": 1}}, "/target/from", "Make another model"),
        ({"target": {"colour": 1}}, "/target/colour", "not known"),
        ({"target": {"yardstick": {"column": 4}}}, "/target/yardstick/column", "0 to 3"),
        ({"target": {"level": 0.2}}, "/target/level", "0.5"),
        ({"method": {"name": "lda"}}, "/method/name", "Use auto, ridge or replay"),
    ):
        refused = api("PATCH", LOAD, sent)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert word in refused.json()["detail"]
    assert api.ok("GET", LOAD)["target"]["yardstick"] == "last"
    for sent in ({"level": 0.8}, {"size": 2}):  # of classes nothing may change
        refused = api("PATCH", "/v1/models/digits", {"target": sent})
        assert (refused.status_code, pointers(refused)) == (422, ["/target"])
        assert "predicts classes" in refused.json()["detail"]


def test_one_threshold_for_numbers_changes_and_the_others_stay(api: Api) -> None:
    made(api)
    for sent in ({"forgets": {"max_rise": 0.1}}, {"trusted": "recent"}, {"slow_loss": {"p": 0.02}}, {}):
        gate = api.ok("PATCH", LOAD, {"gate": sent})["gate"]
    assert (gate["forgets"], gate["trusted"]) == (
        {"max_rise": 0.1, "reject_rise": 0.2, "p": 0.01, "min_rows": 30},
        "recent",
    )
    assert gate["slow_loss"] == {"versions": 20, "max_rise": 0.1, "p": 0.02}
    for sent, pointer in (
        ({"forgets": {"reject_rise": 0.05}}, "/gate/forgets/max_rise"),
        ({"renames": {"p": 0.1}}, "/gate/renames"),
        ({"outliers": {"times": 1}}, "/gate/outliers/times"),
        (3, "/gate"),
    ):
        refused = api("PATCH", LOAD, {"gate": sent})
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
    assert api.ok("GET", LOAD)["gate"] == gate
    refused = api("PATCH", "/v1/models/digits", {"gate": {"outliers": {"times": 4}}})
    assert (refused.status_code, pointers(refused)) == (422, ["/gate/outliers"])


def test_numbers_have_no_classes(api: Api) -> None:
    made(api)
    refused = api("POST", f"{LOAD}/classes", {"names": ["a"]})
    assert (refused.status_code, "predicts numbers" in refused.json()["detail"]) == (409, True)
    assert api.ok("GET", f"{LOAD}/classes") == {"classes": []}
    assert api("DELETE", f"{LOAD}/classes/a").status_code == 404


def test_methods_say_which_targets_they_learn(api: Api) -> None:
    targets = {m["name"]: m["targets"] for m in api.ok("GET", "/v1/methods")["items"]}
    assert targets["auto"] == ["class", "number"]
    assert targets["lda"] == ["class"]
