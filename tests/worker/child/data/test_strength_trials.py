"""Strengths that are tried at once in other processes: the version, the strength and the points of one process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from service.contract.enums import UpdateKind
from service.contract.inputs import Architecture
from service.errors import Diverged
from service.learning.method_params import TrunkParams
from service.learning.methods.constrain import strength_trials
from service.learning.methods.constrain.strength_search import Point
from service.learning.methods.constrain.strength_trials import Prepared
from service.learning.run import IN_SEQUENCE, Run, Tasks
from service.storage.local import LocalArtifacts
from service.worker.assignment import Assignment, Result, Step, Stored
from service.worker.child.train import Executor
from tests.devices import beside
from tests.learning.every_method import each
from tests.pickled_tasks import PickledTasks, SweptTasks
from tests.worker.child.data.test_row_blocks import AREA, BATCHES, bits, learn, stored
from tests.worker.sample_updates import assignment

METHODS = ["l2_sp", "ewc", "si", "mas"]


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strength_trials, "LEAST_SECONDS", -1.0)


def facts_of(folder: Path, numbers: bool = False) -> dict[str, Any]:
    backbone = {"backbone": {"name": "mlp", "hidden": [4]}}
    return {**stored(folder, numbers), "architecture": Architecture.model_validate(backbone)}


def searching(name: str) -> dict[str, Any]:
    return {"name": name, "epochs": 4}


def version(result: Result, number: int) -> Stored:
    return Stored(number=number, layout=result.layout, shards=result.shards, learned=result.learned)


def retract(
    facts: dict[str, Any], tasks: Tasks, base: Result, start: Result | None, steps: Sequence[Sequence[str]]
) -> Result:
    """What a fresh process makes of a base, by l2_sp, without the second batch."""
    asked: Assignment = assignment("ridge").model_copy(
        update={
            **facts,
            "kind": UpdateKind.RETRACT,
            "base": version(base, 3),
            "start": start and version(start, 1),
            "steps": [Step(batches=list(batches), method=searching("l2_sp"), seed=3) for batches in steps],
            "removed": BATCHES[1:2],
            "appeared": {batch: ["class 0", "class 1"] for batch in BATCHES},
        }
    )
    return Executor(lambda: tasks).execute(asked)


@pytest.mark.parametrize("numbers", [False, True], ids=["classes", "numbers"])
@pytest.mark.parametrize("name", each(METHODS))
def test_a_search_in_other_processes_makes_the_version_of_one_process(tmp_path: Path, name: str, numbers: bool) -> None:
    """On a base that the method made, and on one whose weights it has to measure first."""
    facts = facts_of(tmp_path / "one", numbers)
    for first in (name, "retrain"):
        base = learn(facts, IN_SEQUENCE, BATCHES[:2], {"name": first, "epochs": 2}, None)
        pickled = PickledTasks()
        alone, spread = (learn(facts, tasks, BATCHES[2:], searching(name), base) for tasks in (IN_SEQUENCE, pickled))
        assert bits(spread) == bits(alone)
        assert pickled.asked == ["tried"] * 4
        assert not pickled.given_arrays, "what is asked is digests, parameters and a seed"
        tried = len((alone.report.method or {})["points"])
        work = [result.report.cost.multiply_adds for result in (alone, spread)]
        assert work[1] > work[0] if tried < 4 else work[1] >= work[0], "points that no search asked for are counted"


def test_sums_are_lent_for_the_time_of_the_trials_alone_and_are_not_missed_once_swept(tmp_path: Path) -> None:
    facts, store = facts_of(tmp_path / "one"), LocalArtifacts(tmp_path / "one" / "store")
    base = learn(facts, IN_SEQUENCE, BATCHES[:2], searching("ewc"), None)
    alone = learn(facts, IN_SEQUENCE, BATCHES[2:], searching("ewc"), base)
    named = {digest for area, digest, _ in store.names() if area == AREA}
    for tasks in (PickledTasks(), swept := SweptTasks(store, AREA, named)):
        assert bits(learn(facts, tasks, BATCHES[2:], searching("ewc"), base)) == bits(alone)
        assert {digest for area, digest, _ in store.names() if area == AREA} == named
    assert swept.swept


def test_a_strength_that_does_not_train_stops_only_a_search_that_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of(tmp_path / "one")
    base = learn(facts, IN_SEQUENCE, BATCHES[:2], searching("l2_sp"), None)
    alone = learn(facts, IN_SEQUENCE, BATCHES[2:], searching("l2_sp"), base)
    points = {point["strength"] for point in (alone.report.method or {})["points"]}
    [unasked] = {0.001, 0.01, 0.1, 1.0} - points
    point = Prepared.point
    diverging = {unasked}

    def diverges(self: Prepared[Any], strength: float, params: TrunkParams, run: Run) -> tuple[Point, int]:
        if strength in diverging:
            raise Diverged("not finite")
        return point(self, strength, params, run)

    monkeypatch.setattr(Prepared, "point", diverges)
    assert bits(learn(facts, PickledTasks(), BATCHES[2:], searching("l2_sp"), base)) == bits(alone)
    diverging.add(0.1)
    with pytest.raises(Diverged):
        learn(facts, PickledTasks(), BATCHES[2:], searching("l2_sp"), base)


def test_a_search_on_a_gpu_is_made_on_others_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.learning.devices.devices", lambda: ["beside:0", "cpu"])
    facts = {**facts_of(tmp_path / "one"), "device": "beside:0"}
    with beside():
        base = learn(facts, IN_SEQUENCE, BATCHES[:2], searching("mas"), None)
        pickled = PickledTasks()
        alone, spread = (learn(facts, tasks, BATCHES[2:], searching("mas"), base) for tasks in (IN_SEQUENCE, pickled))
    assert bits(spread) == bits(alone)
    assert pickled.asked == ["tried"] * 4


def test_with_several_threads_and_where_a_trial_is_short_strengths_are_tried_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, pickled = facts_of(tmp_path / "one"), PickledTasks()
    base = learn(facts, IN_SEQUENCE, BATCHES[:2], searching("l2_sp"), None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        learn(facts, pickled, BATCHES[2:], searching("l2_sp"), base)
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(strength_trials, "LEAST_SECONDS", 5.0)
    learn(facts, pickled, BATCHES[2:], searching("l2_sp"), base)
    assert pickled.asked == []


@pytest.mark.parametrize("stands", [True, False], ids=["from a version", "from nothing"])
def test_a_retraction_that_replays_searches_elsewhere_where_its_base_is_stored(tmp_path: Path, stands: bool) -> None:
    facts = facts_of(tmp_path / "one")
    first = learn(facts, IN_SEQUENCE, BATCHES[:1], searching("l2_sp"), None)
    base = learn(facts, IN_SEQUENCE, BATCHES[1:], searching("l2_sp"), first)
    start, steps = (first, [BATCHES[2:]]) if stands else (None, [BATCHES[:1], BATCHES[2:]])
    pickled = PickledTasks()
    alone, spread = (retract(facts, tasks, base, start, steps) for tasks in (IN_SEQUENCE, pickled))
    assert bits(spread) == bits(alone)
    assert pickled.asked == ["tried"] * (4 if stands else 0)
