"""After auto's exact head a challenger runs by itself, and serves only where it is clearly better."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.acceptance.conftest import NewModel
from tests.acceptance.service import Caller, until
from tests.running import Server

ROWS = 2200
SPEC = {"kind": "vector", "size": 12, "scale": {"range": [-1, 1]}}


def sent(caller: Caller, labels_of: Any) -> dict[str, Any]:
    """A first update by `auto` of rows with such labels, once it has ended."""
    X = np.random.default_rng(0).uniform(-1, 1, (ROWS, 12)).round(3)
    body = {"inputs": X.tolist(), "labels": [labels_of(x) for x in X]}
    update: dict[str, Any] = caller.ok("POST", f"{caller.path}/updates?wait=60", body)
    return caller.end(update["id"])


def challenger(caller: Caller, champion: str) -> dict[str, Any]:
    """The update that challenges another, once it has ended."""

    def challenger() -> dict[str, Any] | None:
        items = caller.ok("GET", f"{caller.path}/updates")["items"]
        return next((u for u in items if u["challenges"] == champion), None)

    return caller.end(until(challenger, what="a challenger")["id"])


@pytest.mark.long
def test_a_network_that_does_better_goes_live_and_one_that_does_not_leaves_no_version(
    shared: Server, new_model: NewModel
) -> None:
    caller = new_model(input=SPEC, method={"name": "auto"})
    first = sent(caller, lambda x: "odd" if x[0] * x[1] > 0 else "even")
    assert (first["method"]["name"], first["verdict"]) == ("ridge", "promoted")
    assert "a challenger follows: joint training of an mlp" in first["why"]
    second = challenger(caller, first["id"])
    assert (second["method"]["name"], second["verdict"], second["version"]) == ("retrain", "promoted", 2), second["why"]
    assert second["requested_method"]["name"] == "auto"
    assert "rows kept back for choosing" in second["why"]
    report = second["report"]
    assert report["before"]["rows"] == report["after"]["rows"] > 200
    assert report["before"]["accuracy"] < report["after"]["accuracy"]
    assert report["positive_flips"] > report["negative_flips"]
    assert report["yardstick"]["regret"] < 0
    assert report["cost"]["rows"] == ROWS
    assert not any("is the first version" in note for note in report["notes"])
    assert caller.live() == 2
    assert sorted(caller.version(2)["batches"]) == sorted(first["batches"])

    linear = new_model(input=SPEC, method={"name": "auto"})
    first = sent(linear, lambda x: "right" if x[0] > 0 else "left")
    second = challenger(linear, first["id"])
    assert (second["state"], second["version"], second["verdict"]) == ("succeeded", None, None)
    assert "did not win" in second["why"]
    assert linear.versions() == [1]


@pytest.mark.long
def test_a_network_that_is_less_far_off_takes_over_numbers_and_learns_on(shared: Server, new_model: NewModel) -> None:
    caller = new_model(input=SPEC, method={"name": "auto"}, target={"kind": "number"})

    def send(seed: int, rows: int) -> dict[str, Any]:
        X = np.random.default_rng(seed).uniform(-1, 1, (rows, 12)).round(3)
        body = {"inputs": X.tolist(), "targets": (20 * np.abs(X[:, 0] + X[:, 1] - X[:, 2])).round(3).tolist()}
        return caller.end(caller.ok("POST", f"{caller.path}/updates?wait=60", body)["id"])

    first = send(0, ROWS)
    assert (first["method"]["name"], first["verdict"]) == ("ridge", "promoted")
    second = challenger(caller, first["id"])
    assert (second["method"]["name"], second["verdict"], second["version"]) == ("retrain", "promoted", 2), second["why"]
    assert "rows kept back for choosing" in second["why"]
    report = second["report"]
    assert report["before"]["rows"] == report["after"]["rows"] > 200
    assert report["after"]["mae"] < 0.8 * report["before"]["mae"]
    assert report["cost"]["rows"] == ROWS
    assert caller.live() == 2
    third = send(1, 200)
    assert third["verdict"] == "promoted", third["report"]["gate"]["why"]
    assert third["method"]["name"] == "replay", third["why"]
    assert third["report"]["tested"]["rows"] == 200
