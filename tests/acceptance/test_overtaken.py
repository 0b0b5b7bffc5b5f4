"""A version that was held, overtaken, promoted all the same and rolled back, and its batch erased: all stays whole."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import NewModel
from tests.acceptance.environments import Environment
from tests.acceptance.service import blobs
from tests.running import Server


@pytest.fixture
def service(environment: Environment) -> Server:
    return environment.services[0]


@pytest.mark.long
def test_a_held_version_that_was_overtaken_is_promoted_rolled_back_and_erased(
    environment: Environment, new_model: NewModel
) -> None:
    caller = new_model()
    first = caller.learn(40)["batches"][0]
    caller.ok("PATCH", caller.path, {"promotion": "manual"})
    overtaken, next_one = (caller.learn(seed)["batches"][0] for seed in (41, 42))
    caller.ok("POST", f"{caller.path}/deployments", {"version": 3, "reason": "it came later"})
    moved = caller.ok("POST", f"{caller.path}/deployments", {"version": 2, "reason": "all the same"})
    assert moved["left_out"] == [next_one]
    assert [caller.state(batch) for batch in (first, overtaken, next_one)] == ["learned", "learned", "pending"]
    assert caller.roll_back()["live_version"] == 3
    assert [caller.state(batch) for batch in (first, overtaken, next_one)] == ["learned", "pending", "learned"]
    done = caller.end(caller.retract([overtaken], erase=True)["id"])
    assert (done["state"], done["version"]) == ("succeeded", None), "what is live never had it"
    assert (caller.state(overtaken), caller.live()) == ("erased", 3)
    refused = caller.http.post(f"{caller.path}/deployments", json={"version": 2, "reason": "again"})
    assert refused.status_code == 410
    assert caller.predict(blobs(5, rows=3)[0])["version"] == 3
    environment.hold([first, overtaken, next_one])
