"""Updates go on from a version that was trained elsewhere: what cannot keep its classes refuses, auto takes mas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from service.errors import InvalidContent, MethodRefused
from service.learning.auto import auto
from service.learning.data.rows import Array
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import Candidate
from service.learning.methods import METHODS, resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.imported import Foreign, imported
from service.learning.run import Run
from service.serving.predictor import Predictor
from tests.learning.memory_data import SECRET, MemoryData
from tests.updating import make_rows, run_update

SPEC = VectorInput.model_validate({"kind": "vector", "size": 4, "scale": {"range": [-8, 8]}})
MLP = Architecture(backbone=MlpBackbone(name="mlp", hidden=[16]))
KEEPS = ["l2_sp", "ewc", "mas", "lwf", "interpolate", "fine_tune", "lora"]
"""Methods that start from the weights alone."""


def corners(seed: int, classes: list[int], n: int = 40) -> tuple[Array, list[str]]:
    labels = np.array(classes)[np.arange(n * len(classes)) % len(classes)]
    noise = np.random.default_rng(seed).normal(0, 0.7, (len(labels), 4))
    return (6 * np.eye(4)[labels] + noise).astype(np.float32), [f"c{k}" for k in labels]


def data(history: list[tuple[Array, list[str]]], new: tuple[Array, list[str]]) -> MemoryData:
    rows = [make_rows(f"bat_{k}", *batch, SECRET) for k, batch in enumerate([*history, new])]
    return MemoryData(SPEC, MLP, rows[:-1], rows[-1])


@pytest.fixture(scope="module")
def foreign() -> Checkpoint:
    """A net that knows c0 and c1, as another service would export it, without any of its rows."""
    method, params = resolve({"name": "retrain", "epochs": 30})
    trained = run_update(None, data([], corners(0, [0, 1])), method, params, Run(), ClassContext()).checkpoint
    tensors = {f"{p}/{n}": t.numpy() for p, ts in trained.parts.items() for n, t in ts.items()}
    layout = trained.layout.model_dump(mode="json")

    def nowhere(_: object) -> dict[str, torch.Tensor]:
        raise AssertionError

    return imported(Foreign(tensors, trained.classes, layout), SPEC, nowhere)


def learned(base: Checkpoint, name: str, given: MemoryData) -> Candidate:
    method, params = resolve({"name": name})
    return run_update(base, given, method, params, Run(), ClassContext(live=1))


def share(version: Checkpoint, rows: tuple[Array, list[str]]) -> float:
    predictor = Predictor(version)
    best = predictor.answer(rows[0]).values.argmax(1)
    return float(np.mean([predictor.names[k] == label for k, label in zip(best, rows[1], strict=True)]))


def test_an_import_learned_nothing_of_ours_and_says_what_it_brought(foreign: Checkpoint) -> None:
    assert not any(foreign.learned.values())
    assert (foreign.layout.imported, foreign.layout.exact) == (["c0", "c1"], None)
    assert {p.split(".")[0] for p in foreign.parts} <= {"scale", "backbone", "head"}
    assert share(foreign, corners(1, [0, 1])) > 0.97


def test_weights_that_are_whole_numbers_are_told_our_way() -> None:
    whole = {"head.0/weight": np.ones((2, 4), np.int32), "head.0/bias": np.ones(2, np.int32)}
    with pytest.raises(InvalidContent, match="weights are fractions"):
        imported(Foreign(whole, ["a", "b"], architecture=Architecture()), SPEC, lambda _: {})


def test_a_plain_net_gets_its_grid_from_the_first_rows_that_it_learns(foreign: Checkpoint) -> None:
    served = {p: ts for p, ts in foreign.parts.items() if p.split(".")[0] in ("backbone", "head")}
    tensors = {f"{p}/{n}": t.numpy() for p, ts in served.items() for n, t in ts.items()}
    plain = imported(Foreign(tensors, foreign.classes, architecture=MLP), SPEC, lambda _: {})
    assert plain.layout.shift is None
    candidate = learned(plain, "linear_probe", data([], corners(2, [0, 1])))
    assert candidate.checkpoint.layout.shift is not None
    assert share(candidate.checkpoint, corners(3, [0, 1])) > 0.97


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_goes_on_or_says_why_not(foreign: Checkpoint, name: str) -> None:
    given = data([], corners(2, [2], 60))
    if name not in KEEPS:
        with pytest.raises(MethodRefused, match=r"lwf|mas"):
            learned(foreign, name, given)
        return
    candidate = learned(foreign, name, given)
    assert candidate.checkpoint.classes == ("c0", "c1", "c2")
    assert candidate.checkpoint.layout.imported == ["c0", "c1"]
    assert all(b == "bat_0" for batches in candidate.checkpoint.learned.values() for b in batches)


def test_auto_takes_what_keeps_the_imported_classes(foreign: Checkpoint) -> None:
    given = data([], corners(2, [2, 3], 60))
    choice = auto(foreign, given)
    assert choice.request["name"] == "mas"
    method, params = resolve(choice.request)
    made = run_update(foreign, given, method, params, Run(), ClassContext(live=1)).checkpoint
    assert share(made, corners(3, [2, 3])) > 0.7, "new rows push no old class down, so some are still called one"
    assert share(made, corners(3, [0, 1])) > 0.97
    again = data([corners(2, [2, 3], 60)], corners(4, [2], 60))
    assert auto(made, again).request["name"] == "mas"
    with pytest.raises(MethodRefused, match='"c0" and "c1"'):
        learned(made, "ridge", again)


def test_a_few_rows_of_every_class_overwrite_nothing(foreign: Checkpoint) -> None:
    given = data([], corners(2, [0, 1], 20))
    choice = auto(foreign, given)
    assert (choice.request["name"], choice.challenger and choice.challenger["name"]) == ("mas", "ridge")
    verdicts = {name: learned(foreign, name, given).report.gate for name in ("l2_sp", "ridge", "retrain")}
    assert {name: gate.outcome for name, gate in verdicts.items()} == {
        "l2_sp": "pass",
        "ridge": "undecided",
        "retrain": "undecided",
    }
    assert all(gate.unproven for gate in verdicts.values())
    assert "keeps no weight of version 1" in verdicts["retrain"].why


def test_rows_of_every_class_set_the_exact_head_free(foreign: Checkpoint) -> None:
    given = data([], corners(2, [0, 1, 2]))
    candidate = learned(foreign, "ridge", given)
    assert candidate.report.exact
    assert candidate.report.gate.unproven, "of the rows that it was learned from none is here"
    assert share(candidate.checkpoint, corners(3, [0, 1, 2])) > 0.95
    later = data([corners(2, [0, 1, 2])], corners(4, [3], 60))
    assert learned(candidate.checkpoint, "ridge", later).checkpoint.classes == ("c0", "c1", "c2", "c3")


def test_a_file_whose_columns_have_other_names_is_refused(foreign: Checkpoint) -> None:
    tensors = {f"{p}/{n}": t.numpy() for p, ts in foreign.parts.items() for n, t in ts.items()}
    names = [f"p{k}" for k in range(SPEC.size)]
    same, mixed = [VectorInput.model_validate({**SPEC.model_dump(), "names": each}) for each in (names, names[::-1])]
    layout = foreign.layout.model_dump(mode="json")
    layout["input"]["names"] = names

    def nowhere(_: object) -> dict[str, torch.Tensor]:
        raise AssertionError

    file = Foreign(tensors, ("c0", "c1"), layout)
    for spec in (SPEC, same):
        assert imported(file, spec, nowhere).layout.input == spec
    with pytest.raises(InvalidContent, match=r"The columns of the file's vector .*\. They stand in an"):
        imported(file, mixed, nowhere)
