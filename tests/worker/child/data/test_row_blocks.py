"""Blocks of rows, worked on by other processes: the same entries, ledgers and heads as in sequence, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.contract.inputs import Architecture, VectorInput
from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import Known, rows_of
from service.learning.data.serialization import pack_rows
from service.learning.exact import lift_choice
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.sums import Sums
from service.learning.run import IN_SEQUENCE, UNWATCHED, Run, Tasks
from service.storage.artifacts import model_area
from service.storage.local import LocalArtifacts
from service.worker.assignment import Assignment, Entry, Places, Result, Step, Stored
from service.worker.child.data import model_store, row_blocks
from service.worker.child.train import Executor
from tests.learning.exact_help import random_entry
from tests.pickled_tasks import PickledTasks, SweptTasks
from tests.worker.sample_updates import assignment

AREA, ROWS = model_area(1), 90
BATCHES = ["bat_1", "bat_2", "bat_3"]
RIDGE = {"name": "ridge", "lift": "none"}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_ROWS", 7)
    monkeypatch.setattr(model_store, "SPREAD_ROWS", ROWS // 2)
    monkeypatch.setattr(lift_choice, "SPREAD_TRIALS", ROWS // 2)


def stored(folder: Path, numbers: bool, count: int = ROWS) -> dict[str, Any]:
    """Three batches of so many rows in a store; -> what an assignment says of them."""
    folder.mkdir()
    store = LocalArtifacts(folder / "store")
    rows = {}
    for k, batch in enumerate(BATCHES):
        random = np.random.default_rng(k)
        inputs = random.normal(size=(count, 3)).astype(np.float32)
        labels = [""] * count if numbers else [f"class {c}" for c in (inputs[:, 0] > 0).astype(int) + (k == 2)]
        targets = (inputs @ [[1.0], [-2.0], [0.5]] + random.normal(size=(count, 1))) if numbers else None
        made = rows_of(batch, inputs, labels, b"secret", Known(f"source {k}", targets=targets))
        rows[batch] = store.put(AREA, pack_rows(made))
    places = Places(store=(folder / "store").as_uri(), cache=str(folder / "cache"), cache_bytes=0, area=AREA)
    return {
        "places": places,
        "input": VectorInput(kind="vector", size=3),
        "target": NumberTarget(kind="number") if numbers else ClassTarget(),
        "policy": NumberPolicy() if numbers else GatePolicy(),
        "rows": rows,
        "counts": dict.fromkeys(BATCHES, count),
        "kept": dict.fromkeys(BATCHES, count),
    }


def learn(
    facts: dict[str, Any],
    tasks: Tasks,
    batches: list[str],
    method: dict[str, Any],
    base: Result | None,
    run: Run = UNWATCHED,
) -> Result:
    """What a fresh process makes of these batches."""
    version = base and Stored(number=1, layout=base.layout, shards=base.shards, learned=base.learned)
    asked: Assignment = assignment("ridge").model_copy(
        update={
            **facts,
            "steps": [Step(batches=batches, method=method, seed=3)],
            "base": version,
            "start": version,
            "entries": entered(base.entries) if base else {},
        }
    )
    return Executor(lambda: tasks).execute(asked, run)


def entered(entries: list[Entry]) -> dict[str, dict[str, str]]:
    """Entries as an assignment has them."""
    return {space: {e.batch: e.digest for e in entries if e.space == space} for space in {e.space for e in entries}}


def bits(result: Result) -> dict[str, Any]:
    """All of a result that is no time, and no order in which entries were made."""
    entries = sorted(result.entries, key=lambda entry: (entry.batch, entry.space))
    return {**result.model_dump(exclude={"report": {"cost"}}), "entries": entries}


@pytest.mark.parametrize("numbers", [False, True], ids=["classes", "numbers"])
@pytest.mark.parametrize(
    ("first", "then", "block_rows"),
    [
        (RIDGE, RIDGE, 7),
        (RIDGE, RIDGE, 1000),
        ({"name": "ridge", "lift": "relu", "width": 16}, RIDGE, 7),
        pytest.param({"name": "ridge"}, {"name": "ridge"}, 7, marks=pytest.mark.long),
        ({"name": "retrain", "epochs": 1}, {"name": "ridge"}, 7),
    ],
    ids=["scaled", "scaled-whole", "lifted", "chosen", "trained"],
)
def test_any_blocks_on_any_processes_make_the_same_bits_as_one_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, Any],
    then: dict[str, Any],
    block_rows: int,
    numbers: bool,
) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_ROWS", block_rows)
    facts = stored(tmp_path / "one", numbers)
    facts["architecture"] = Architecture.model_validate({"backbone": {"name": "mlp", "hidden": [4]}})
    pickled = PickledTasks()
    made = []
    for tasks in (IN_SEQUENCE, pickled):
        base = learn(facts, tasks, BATCHES[:2], first, None)
        made.append([base, learn(facts, tasks, BATCHES[2:], then, base)])
    assert [bits(result) for result in made[1]] == [bits(result) for result in made[0]]
    assert made[1][1].ledger_digest is not None
    asked = {"features_of", "sums_of_block", *(["score_elsewhere"] if first == {"name": "ridge"} else [])}
    assert set(pickled.asked) == asked
    assert not pickled.given_arrays, "what is asked is digests, parameters and a seed"
    assert pickled.gave_arrays == {"features_of", "sums_of_block"}, "a trial gives a figure"


@pytest.mark.long
def test_rows_that_lifts_are_tried_on_are_in_the_store_for_that_time_alone_and_are_not_missed_once_swept(
    tmp_path: Path,
) -> None:
    facts = stored(tmp_path / "one", numbers=False)
    rows, store = set(facts["rows"].values()), LocalArtifacts(tmp_path / "one" / "store")
    expected = learn(facts, IN_SEQUENCE, BATCHES, {"name": "ridge"}, None)
    named = {*rows, expected.bits, *(entry.digest for entry in expected.entries)}
    for tasks in (PickledTasks(), swept := SweptTasks(store, AREA, named)):
        assert bits(learn(facts, tasks, BATCHES, {"name": "ridge"}, None)) == bits(expected)
        assert {digest for area, digest, _ in store.names() if area == AREA} == named
    assert len(swept.swept) == 1


def test_features_that_take_long_are_made_in_smaller_blocks_and_of_fewer_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, lifted, pickled = stored(tmp_path / "one", numbers=False), {"name": "ridge", "lift": "relu"}, PickledTasks()
    monkeypatch.setattr(row_blocks, "BLOCK_ROWS", 1_000)
    monkeypatch.setattr(row_blocks, "BLOCK_WORK", 70 * 3 * 16)
    monkeypatch.setattr(model_store, "SPREAD_ROWS", 1_000)
    told = list[tuple[str, int, int]]()
    run = replace(UNWATCHED, progress=lambda *step: told.append(step))
    made = [bits(learn(facts, tasks, BATCHES, lifted | {"width": 16}, None, run)) for tasks in (IN_SEQUENCE, pickled)]
    assert made[0] == made[1]
    assert [step for step in told if step[0] == "features"][-1] == ("features", 270, 270), "it counts rows"
    assert pickled.asked == ["features_of"] * 6, "of three batches of 90 rows, in blocks of 64"


def test_a_batch_whose_rows_are_not_here_counts_once_in_however_many_blocks(tmp_path: Path) -> None:
    entry = SummedEntry.of(random_entry(ROWS))
    digest = LocalArtifacts(tmp_path).put(AREA, entry.pack())
    total = Sums.empty(entry.width)
    for block in row_blocks.blocks_of(tmp_path.as_uri(), AREA, digest, ROWS):
        total = total + row_blocks.sums_of_block(block).all
    assert total.digest("5" * 64) == entry.all.digest("5" * 64)
