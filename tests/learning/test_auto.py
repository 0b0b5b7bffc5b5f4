"""The written table of `auto`: one situation a row, and who may challenge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.contract.inputs import Architecture, ImageInput, InputSpec, MlpBackbone, VectorInput
from service.learning.auto import auto
from service.learning.auto.choice import AutoParams, Choice, Surroundings
from service.learning.auto.class_choice import EXACT
from service.learning.methods import METHODS, resolve
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.number_streams import NumberStream
from tests.learning.table_streams import SHOP, class_rows, shop

SPEC = VectorInput(kind="vector", size=6, scale={"range": [-8, 8]})
MLP = Architecture(backbone=MlpBackbone(name="mlp", hidden=[8]))


def rows(classes: str, n: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """n rows of each class around a centre of its own."""
    random = np.random.default_rng(seed)
    labels = [c for c in classes for _ in range(n)]
    centres = {c: np.random.default_rng(ord(c)).uniform(-4, 4, 6) for c in classes}
    return np.array([random.normal(centres[c], 0.5) for c in labels], np.float32), labels


def known(method: str, architecture: Architecture | None = None, n: int = 30, classes: str = "abc") -> Stream:
    """A model that has learned something by a method."""
    stream = Stream(SPEC, architecture)
    params: dict[str, Any] = {"epochs": 2} if method == "retrain" else {}
    stream.learn(METHODS[method], *rows(classes, n), **params)
    return stream


def chosen(stream: Stream, classes: str, n: int = 30, **around: Any) -> Choice:
    params = AutoParams.model_validate(around.pop("params", {}))
    return auto(stream.checkpoint, stream.data(*rows(classes, n, seed=1)), params, Surroundings(**around))


def name(request: dict[str, Any] | None) -> str | None:
    return request["name"] if request else None


def test_a_first_version_is_an_exact_head_and_enough_rows_bring_a_challenger() -> None:
    few, many = chosen(Stream(SPEC), "abcd"), chosen(Stream(SPEC), "abcd", n=500)
    assert (name(few.request), few.challenger) == ("ridge", None)
    assert name(many.request) == "ridge"
    assert many.challenger == {"name": "retrain", "schedule": "constant", "backbone": {"name": "mlp"}}
    assert "2,000 rows" in many.challenge


def test_images_are_challenged_by_convolutions() -> None:
    spec: InputSpec = ImageInput(kind="image", channels=1, height=2, width=3)
    stream = Stream(spec)
    X, y = rows("ab", 1000)
    choice = auto(None, stream.data(np.abs(X).reshape(-1, 1, 2, 3), y))
    assert choice.challenger == {"name": "retrain", "schedule": "constant", "backbone": {"name": "cnn"}}


def test_a_model_that_names_a_network_gets_it_trained() -> None:
    assert name(chosen(Stream(SPEC, MLP), "abc").request) == "retrain"


@pytest.mark.parametrize(
    ("classes", "n", "method", "challenger"),
    [("de", 30, "replay", "ridge"), ("abc", 30, "replay", "l2_sp"), ("ab", 5, "replay", "l2_sp")],
    ids=["new classes", "known classes", "few rows of known classes"],
)
def test_a_trained_net_goes_on_as_a_net(classes: str, n: int, method: str, challenger: str | None) -> None:
    choice = chosen(known("retrain", MLP), classes, n)
    assert (name(choice.request), name(choice.challenger)) == (method, challenger)


def test_a_trained_net_whose_rows_are_gone_keeps_its_trunk_or_its_place() -> None:
    stream = known("retrain", MLP)
    for classes, n, method in (("de", 30, "linear_probe"), ("abc", 30, "l2_sp"), ("abc", 5, "linear_probe")):
        data = stream.data(*rows(classes, n, seed=1))
        data.kept_rows = 0
        assert name(auto(stream.checkpoint, data).request) == method


def test_a_net_that_a_challenger_brought_in_must_beat_the_exact_head() -> None:
    stream = Stream(SPEC)
    stream.learn(METHODS["retrain"], *rows("abc", 30), epochs=2, backbone={"name": "mlp", "hidden": [8]})
    for classes, balance in (("abc", None), ("de", "auto")):
        choice = chosen(stream, classes)
        assert (name(choice.request), choice.request.get("balance"), choice.challenger) == ("replay", balance, None)
        assert choice.unless == EXACT | {"features": "input"}
    data = stream.data(*rows("abc", 30, seed=1))
    data.kept_rows = 89
    assert auto(stream.checkpoint, data).unless is None, "of deleted rows nothing is known on the scaled input"


def test_a_few_rows_of_a_new_class_are_learned_by_the_exact_head() -> None:
    assert chosen(known("ridge"), "d", n=3).request == EXACT


def test_stable_scores_expand_a_net() -> None:
    choice = chosen(known("retrain", MLP), "de", params={"stable_scores": True})
    assert choice.request == {"name": "den", "mode": "protect"}


def test_stable_scores_of_an_exact_head_get_new_columns_alone() -> None:
    stream = known("ridge")
    choice = chosen(stream, "de", params={"stable_scores": True})
    assert choice.request == {"name": "ridge", "discriminants": True, "stable_scores": True}
    assert chosen(stream, "ab", params={"stable_scores": True}).request.get("stable_scores") is None


@pytest.mark.long
def test_joint_training_challenges_again_when_rows_have_doubled() -> None:
    stream = known("ridge", n=500, classes="abcd")
    assert chosen(stream, "abcd", 10, challenged_rows=2000).challenger is None
    assert name(chosen(stream, "abcd", 500, challenged_rows=2000).challenger) == "retrain"


def test_without_a_budget_nobody_challenges() -> None:
    assert chosen(Stream(SPEC), "abcd", n=500, params={"budget_seconds": 0}).challenger is None


def test_every_request_of_the_table_is_one_that_can_be_made() -> None:
    situations = [
        chosen(Stream(SPEC), "abcd", n=500),
        chosen(Stream(SPEC, MLP), "abc"),
        chosen(known("ridge"), "abc"),
        chosen(known("ridge"), "de"),
        chosen(known("ridge"), "de", keeps=False),
        chosen(known("ridge"), "de", recent=True),
        chosen(known("ridge"), "de", params={"stable_scores": True}),
        chosen(known("retrain", MLP), "de"),
        chosen(known("retrain", MLP), "de", recent=True),
        chosen(known("retrain", MLP), "abc"),
        chosen(known("retrain", MLP), "de", params={"stable_scores": True}),
    ]
    for choice in situations:
        for request in (choice.request, choice.challenger, choice.unless):
            if request is not None:
                resolve(request)
        assert choice.why.startswith("auto: ")
        assert choice.why.endswith(".")


def test_numbers_are_learned_by_the_exact_head_whose_decay_is_searched() -> None:
    stream = NumberStream(SPEC)
    X, _ = rows("ab", 30)
    first = auto(None, stream.offered(X, X[:, 0]))
    assert first.request == {"name": "ridge", "decay": "search"}
    assert first.challenger is None
    assert "numbers" in first.why
    stream.learns(X, X[:, 0])
    assert auto(stream.checkpoint, stream.offered(X, X[:, 0])) == first
    asked = auto(None, stream.offered(X, X[:, 0]), AutoParams(stable_scores=True))
    assert asked.request["stable_scores"], "ridge refuses it by name"


def test_numbers_of_a_model_that_names_a_net_are_learned_by_it_where_rows_are_kept() -> None:
    stream = NumberStream(SPEC, architecture=MLP)
    X, _ = rows("ab", 30)
    offered = stream.offered(X, X[:, 0])
    assert auto(None, offered).request == {"name": "retrain"}
    assert auto(None, offered, around=Surroundings(keeps=False)).request["name"] == "ridge"
    stream.learns_by("retrain", offered, epochs=1)
    data = stream.offered(X, X[:, 0])
    assert auto(stream.checkpoint, data).request == {"name": "replay", "lr": 0.02}
    data.kept_rows = 0
    assert auto(stream.checkpoint, data).request == {"name": "l2_sp"}


def test_a_net_challenges_the_exact_head_of_numbers_and_goes_on_while_it_beats_it() -> None:
    stream = NumberStream(SPEC)
    X = np.random.default_rng(0).normal(size=(2000, SPEC.size)).astype(np.float32)
    data = stream.offered(X, X[:, 0])
    first = auto(None, data)
    assert (first.request["name"], first.challenger and first.challenger["name"]) == ("ridge", "retrain")
    assert auto(None, data, AutoParams(budget_seconds=0)).challenger is None
    stream.learns_by("retrain", data, epochs=1, backbone={"name": "mlp", "hidden": [4]})
    went_on = auto(stream.checkpoint, stream.offered(X, X[:, 0]))
    assert went_on.request == {"name": "replay", "lr": 0.02}
    assert went_on.unless == {"name": "ridge", "decay": "search", "features": "input"}


def test_tables_are_learned_by_ridge_alone() -> None:
    """Discriminants shrink too little where classes are few and noisy."""
    data = MemoryData(SHOP, Architecture(), [], class_rows("bat_0", shop(30)))
    choice = auto(None, data)
    assert choice.request == {"name": "ridge"}
    assert choice.challenger is None, "30 rows are too few for a net"
