"""A loaded version that predicts numbers: values in float64, intervals of any level, JSON that gives them back."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from service.contract.inputs import VectorInput
from service.contract.tables import LACKED, TableInput, value_code
from service.errors import CorruptArtifact, InvalidContent, NotLive
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Array
from service.learning.data.target_grid import UNIT_STEPS, NumberGrid
from service.learning.evaluation.numbers.bounds import INTERVAL
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from service.serving import batcher as batching
from service.serving.answers import PIECE, Answer
from service.serving.batcher import Batcher
from service.serving.kinds.kind import PredictOptions, RowAnswers
from service.serving.kinds.numbers import Values
from service.serving.loaded_versions import USUAL_LEVEL, Loaded
from service.serving.loader import _architecture
from service.serving.predictor import Predictor
from tests.answering import predict
from tests.making import number_checkpoint, table_checkpoint
from tests.serving.test_predictor import checkpoint as class_checkpoint
from tests.tables import table_of

ONE = NumberGrid(names=["MW"], offset=[500.0], step=[64 / UNIT_STEPS])
TWO = NumberGrid(names=["low", "high"], offset=[500.0, -2.0], step=[64 / UNIT_STEPS, 0.25 / UNIT_STEPS])
LOG = ONE.model_copy(update={"scale": "log", "offset": [3.0], "step": [2 / UNIT_STEPS]})
CHANGE = ONE.model_copy(update={"from_": 2, "offset": [0.0]})


def rows(n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def loaded(grid: NumberGrid, **made: Any) -> Loaded:
    return Loaded(1, "load", 7, "", Predictor(number_checkpoint(grid, **made)))


def in_units(checkpoint: Checkpoint, asked: Array) -> Array:
    """What the head answers, by its modules."""
    with torch.no_grad():
        return build(checkpoint)(torch.from_numpy(asked)).double().numpy()


def half(answers: Array, level: float) -> Array:
    """Half the width of the intervals of `number_checkpoint`, in units."""
    return (np.searchsorted([-1.0, -0.5, 0.5, 1.0], answers) + 1) * math.ceil(level * 100 - 1e-9) / 100


def test_values_and_intervals_are_those_of_the_grid() -> None:
    for level in [0.5, 0.8, 0.9, 0.905, 0.99]:
        for grid in [ONE, TWO, LOG, CHANGE]:
            version, asked = loaded(grid), rows(50)
            answers = in_units(number_checkpoint(grid), asked)
            size = half(answers, level)
            due = [grid.targets(grid.value(end), asked) for end in (answers, answers - size, answers + size)]
            answer = json.loads(predict(version, asked, PredictOptions(level=level)).json())
            assert (answer["model"], answer["version"], answer["level"]) == ("load", 7, level), (level, grid)
            value, interval = ("value", "interval") if grid.size == 1 else ("values", "intervals")
            shape = (50, grid.size)
            assert np.allclose(np.reshape([p[value] for p in answer["predictions"]], shape), due[0], rtol=1e-6), (
                level,
                grid,
            )
            got = np.reshape([p[interval] for p in answer["predictions"]], (*shape, 2))
            assert np.allclose(got, np.stack(due[1:], -1), rtol=1e-5), (level, grid)


def test_json_has_every_digit_of_a_float64() -> None:
    version = loaded(TWO)
    answer = predict(version, rows(9), PredictOptions(level=0.7))
    written = json.loads(answer.json())["predictions"]
    assert [p["values"] for p in written] == answer.answers.values.tolist()
    assert all(isinstance(value, float) for p in written for value in p["values"])
    kind = loaded(ONE).predictor.kind
    odd = np.array([[-0.0], [5e-324], [0.1 + 0.2], [1.7976931348623157e308], [-1e16]])
    values = Values(kind, np.stack([odd, odd, odd]), odd, odd[:0], 0.9)
    back = json.loads(f"[{kind.rows(values, PredictOptions(level=0.9))}]")
    assert [repr(p["value"]) for p in back] == [repr(value) for value in odd[:, 0].tolist()]
    assert [p["interval"] for p in back] == [[p["value"], p["value"]] for p in back]


def test_a_value_beyond_float64_is_the_largest_one() -> None:
    wide = LOG.model_copy(update={"offset": [709.0], "step": [64 / UNIT_STEPS]})
    answer = json.loads(predict(loaded(wide), rows(200)).json())
    values = [p["value"] for p in answer["predictions"]]
    ends = [end for p in answer["predictions"] for end in p["interval"]]
    assert max(values) == pytest.approx(np.finfo(np.float64).max, rel=1e-9)
    assert all(math.isfinite(number) and number >= 0 for number in values + ends)
    assert all(low <= value <= high for value, (low, high) in zip(values, np.reshape(ends, (-1, 2)), strict=True))


def test_a_version_without_intervals_says_null() -> None:
    for grid, members in [(ONE, {"value", "interval"}), (TWO, {"values", "intervals"})]:
        answer = json.loads(predict(loaded(grid, intervals=False), rows(2)).json())
        assert answer["level"] == USUAL_LEVEL
        for prediction in answer["predictions"]:
            assert prediction.keys() == members
            assert prediction[max(members & {"interval", "intervals"})] is None
    assert loaded(ONE, intervals=False).predictor.kind.outputs == ("value",)


def test_words_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidContent, match="asked for by level") as caught:
        predict(loaded(ONE), rows(1), PredictOptions(top=3))
    assert caught.value.errors[0][0] == "/top"
    classes = Loaded(1, "digits", 3, "", Predictor(class_checkpoint(["a", "b"])))
    with pytest.raises(InvalidContent, match="by top") as caught:
        predict(classes, np.ones((1, 4), np.float32), PredictOptions(level=0.8))
    assert caught.value.errors[0][0] == "/level"


def test_a_source_with_a_head_of_its_own_is_answered_by_it() -> None:
    made = number_checkpoint(ONE)
    north = {"weight": torch.zeros(1, 3), "bias": torch.tensor([2.0])}
    layout = made.layout.model_copy(update={"sources": ["north"]})
    version = Loaded(1, "load", 7, "", Predictor(Checkpoint(layout, {**made.parts, "head.source.0": north})))
    answer = json.loads(predict(version, rows(3), PredictOptions(source="north", level=0.5)).json())
    size = 5 * 0.5 * 64  # beyond 1 unit: the fifth group
    assert answer["predictions"] == [{"value": 628.0, "interval": [628.0 - size, 628.0 + size]}] * 3
    usual = predict(version, rows(3)).answers.values
    assert np.array_equal(predict(version, rows(3), PredictOptions(source="south")).answers.values, usual)


def test_a_version_without_a_learned_row_says_so() -> None:
    made = number_checkpoint(ONE)
    empty = Checkpoint(made.layout.model_copy(update={"head": []}), {"scale": made.parts["scale"]})
    with pytest.raises(NotLive, match="Version 7 of load has learned no row") as caught:
        predict(Loaded(1, "load", 7, "", Predictor(empty)), rows(1))
    assert caught.value.title == "The version has learned no row"


def test_a_version_that_answers_nothing_but_nan_is_not_served() -> None:
    made = number_checkpoint(LOG)
    made.parts["head.0"]["bias"].fill_(float("inf"))
    with pytest.raises(CorruptArtifact):
        Predictor(made)


def test_versions_of_other_kinds_do_not_share_a_pace() -> None:
    layouts = [number_checkpoint(grid).layout for grid in (ONE, TWO, LOG)]
    layouts.append(layouts[0].model_copy(update={"numbers": None, "classes": ["MW"]}))
    names = [_architecture(layout.model_dump(mode="json")) for layout in layouts]
    assert names[0] == names[2]
    assert len(set(names)) == 3


def test_a_row_with_a_new_value_has_the_interval_of_such_rows(batcher: Batcher) -> None:
    spec = TableInput.model_validate({"kind": "table", "columns": [{"name": "shop", "kind": "category"}]})
    made = table_checkpoint(spec, {"shop": ["a", "b"]}, grid=ONE)
    usual = number_checkpoint(ONE).parts["interval"]
    new = {**usual, "quantiles": torch.cat([usual["quantiles"], 100 * torch.ones(1, 1, 99)], 1)}
    version = Loaded(1, "load", 7, "", Predictor(replace(made, parts={**made.parts, "interval": new})))
    few = np.array([value_code("a"), value_code("c"), np.nan])[:, None]
    many, options = np.tile(few, (40, 1)), version.settled(PredictOptions(level=0.5))
    asked = asyncio.run(_answered(batcher, version, many, options))
    for answers in (predict(version, few, options).answers, predict(version, many, options).answers, asked):
        wide = np.diff(answers.intervals[:, 0])[:, 0] == 200 * 64
        assert wide.tolist() == [False, True, False] * (len(answers.values) // 3)
    other = predict(version, many, options).answers.part(1, 3, PredictOptions(level=0.9))
    assert (np.diff(other.intervals[:, 0])[:, 0] == 200 * 64).tolist() == [True, False]


def test_questions_of_several_levels_pass_together(batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    version = loaded(CHANGE)
    levels = [0.9, 0.8, 0.9, 0.55]
    passes: list[int] = []
    run = batching.passes.run
    monkeypatch.setattr(batching.passes, "run", lambda *a: (passes.append(len(a[2])), run(*a))[1])

    async def go() -> list[RowAnswers]:
        asked = [batcher.ask(version.predictor, rows(3, k), PredictOptions(level=q)) for k, q in enumerate(levels)]
        return await asyncio.gather(*asked)

    answers = asyncio.run(go())
    assert passes == [4]
    for k, (answer, level) in enumerate(zip(answers, levels, strict=True)):
        alone = json.loads(predict(version, rows(3, k), PredictOptions(level=level)).json())
        together = json.loads(Answer(version, answer, PredictOptions(level=level)).json())
        assert together["level"] == alone["level"] == level
        for a, b in zip(together["predictions"], alone["predictions"], strict=True):
            assert [a["value"], *a["interval"]] == pytest.approx([b["value"], *b["interval"]], rel=1e-6)


@pytest.mark.parametrize("intervals", [True, False])
@pytest.mark.parametrize("many", [batching.MANY, 100])
def test_many_rows_are_answered_in_pieces(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch, many: int, intervals: bool
) -> None:
    monkeypatch.setattr(batching, "MANY", many)
    version, asked = loaded(TWO, intervals=intervals), rows(2 * PIECE + 7)
    options = version.settled(PredictOptions())
    answers = asyncio.run(_answered(batcher, version, asked, options))
    answer = Answer(version, answers, options)
    assert b"".join(answer.pieces()) == answer.json()
    whole = predict(version, asked).answers
    assert np.allclose(answers.values, whole.values, rtol=1e-6)
    written = json.loads(answer.json())["predictions"]
    assert len(written) == len(asked)
    assert all((p["intervals"] is None) is not intervals for p in written)


def test_rows_outside_the_declared_range_are_noted(batcher: Batcher) -> None:
    spec = VectorInput.model_validate({"kind": "vector", "size": 3, "scale": {"range": [-1, 1]}})
    version, asked = loaded(ONE, spec=spec), np.zeros((40, 3), np.float32)
    options = version.settled(PredictOptions())
    odd = asked.copy()
    odd[33, 1] = 2.0

    async def both() -> list[RowAnswers]:
        waiting = (batcher.ask(version.predictor, question, options) for question in (asked, odd, asked))
        return list(await asyncio.gather(*waiting))[:2]  # in one pass

    inside, outside = asyncio.run(both())
    assert "notes" not in json.loads(Answer(version, inside, options).json())
    assert outside.marks is not None
    assert np.flatnonzero(outside.marks).tolist() == [33]
    assert "range of this model's inputs, [-1, 1]" in json.loads(Answer(version, outside, options).json())["notes"][0]


@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "classes"])
def test_cells_that_hardly_any_learned_row_lacked_and_numbers_that_are_cut_are_named(
    batcher: Batcher, numbers: bool
) -> None:
    spec = table_of({"size": "number", "age": "number", "city": "category", "day": "date"})
    made = table_checkpoint(spec, {"city": ["Osaka"], LACKED: ["age"]}, grid=ONE if numbers else None)
    if numbers:
        made = replace(made, parts={**made.parts, INTERVAL: number_checkpoint(ONE).parts[INTERVAL]})
    version, whole = Loaded(1, "load", 7, "", Predictor(made)), [2.0, 3.0, float(value_code("Osaka")), 1e9]
    asked = np.array([whole] * 400)
    asked[7, 0] = asked[8, 2] = asked[9, 1] = np.nan
    asked[300, :2] = 99.0, -1e30
    options = version.settled(PredictOptions())
    batched = Answer(version, asyncio.run(_answered(batcher, version, asked, options)), options)
    guesses = f"such answers are guesses{', and it gives no interval' if numbers else ''}."
    for said in (batched, predict(version, asked)):
        written = json.loads(said.json())
        assert json.loads(b"".join(said.pieces())) == written
        *beyond, lacking = written["notes"]
        assert [note.partition(" tells values from -8 to 8 apart")[0] for note in beyond] == [
            "size: version 7",
            "age: version 7",
        ]
        assert lacking == f"Version 7 has learned fewer than 20 rows without size and city: {guesses}"
        if numbers:
            assert [k for k, row in enumerate(written["predictions"]) if row["interval"] is None] == [7, 8]
            ends = said.answers.part(0, 400, options._replace(level=0.5)).intervals
            assert np.flatnonzero(np.isnan(ends[:, 0, 0])).tolist() == [7, 8]
    assert "notes" not in json.loads(predict(version, np.array([whole] * 2)).json())
    unknown = Predictor(table_checkpoint(spec, {"city": ["Osaka"]}, grid=ONE))
    assert unknown.answer(asked[:20]).marks is None, "such a version does not know what learned rows lacked"


@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "classes"])
def test_rows_that_lack_most_cells_are_told_where_hardly_any_learned_row_did(numbers: bool) -> None:
    names = ["size", "age", "city", "day"]
    spec = table_of({"size": "number", "age": "number", "city": "category", "day": "date"})
    half, few = [np.nan, np.nan, float(value_code("Osaka")), 1e9], [np.nan, np.nan, np.nan, 1e9]
    for lacked, counted, rows, due in (
        (names, {LACKED: 19}, [half], []),
        (names, {LACKED: 19}, [half, few], ["lack more than half of their columns: answers to such rows are guesses."]),
        (names, {LACKED: 20}, [few], []),
        (names, {}, [few], []),  # as an earlier release counted
        (["size", "age", "day"], {LACKED: 0}, [few], ["without city: such answers are guesses."]),
    ):
        counts = {"city": {"Osaka": 20}, LACKED: dict.fromkeys(lacked, 20) | counted}
        made = table_checkpoint(spec, {}, grid=ONE if numbers else None)
        made = made.with_values(LearnedValues.of(spec, [counts]), [])
        version = Loaded(1, "load", 7, "", Predictor(made))
        notes = json.loads(predict(version, np.array(rows)).json()).get("notes", [])
        assert [note.partition("fewer than 20 rows ")[2].removeprefix("that ") for note in notes] == due, lacked


def test_sparse_rows_are_counted_where_every_batch_counted_them() -> None:
    spec = table_of({"size": "number", "city": "category"})
    old, none, three = {"size": 2}, {"size": 2, LACKED: 0}, {LACKED: 3}

    def of(*counts: dict[str, int]) -> LearnedValues:
        return LearnedValues.of(spec, [{LACKED: each} for each in counts])

    assert LearnedValues.load(of(none).with_values(of(three, three)).arrays()).sparse == 6
    assert of(none, three).sparse == 3
    for unknown in (of(none, old), of(old).with_values(of(none)), of(none).with_values(of(old))):
        assert unknown.arrays().keys() == {"1", "lacked"}, "the part is as an earlier release made it"
    assert LearnedValues.of(spec, [{"city": {"Osaka": 1}}, {LACKED: three}]).arrays().keys() == {"1"}


@pytest.mark.parametrize("case", ["never lacked", "lacked", "intervals of new values"])
def test_a_row_with_a_value_that_was_never_learned_has_no_interval_where_a_missing_one_has_none(
    batcher: Batcher, case: str
) -> None:
    spec, part = table_of({"size": "number", "city": "category"}), number_checkpoint(ONE).parts[INTERVAL]
    if case == "intervals of new values":
        part = {**part, "quantiles": torch.cat([part["quantiles"], part["quantiles"][:, -1:]], 1)}
    lacked = ["size", "city"] if case == "lacked" else ["size"]
    made = table_checkpoint(spec, {"city": ["Osaka"], LACKED: lacked}, grid=ONE)
    version = Loaded(1, "load", 7, "", Predictor(replace(made, parts={**made.parts, INTERVAL: part})))
    asked = np.array([[2.0, value_code("Osaka")]] * 20)
    asked[7, 1] = value_code("Osakka")
    usual = version.settled(PredictOptions(), {1: {value_code("Osaka"): "Osaka"}})
    options = version.settled(PredictOptions(), {1: {value_code("Osakka"): "Osakka"}})

    async def both() -> list[RowAnswers]:
        waiting = [batcher.ask(version.predictor, asked[:5], usual), batcher.ask(version.predictor, asked, options)]
        return list(await asyncio.gather(*waiting))  # in one pass

    plain, odd = (json.loads(Answer(version, said, options).json()) for said in asyncio.run(both()))
    due = [7] if case == "never lacked" else []
    assert [k for k, row in enumerate(odd["predictions"]) if row["interval"] is None] == due
    assert len(odd.get("notes", [])) == len(due)
    assert "notes" not in plain
    assert all(row["interval"] for row in plain["predictions"])
    assert not usual.unlearned


def test_numbers_of_a_vector_that_are_cut_are_noted() -> None:
    version, asked = loaded(ONE), rows(5)
    assert "notes" not in json.loads(predict(version, asked).json())
    asked[3, 1] = 9999.0
    [note] = json.loads(predict(version, asked).json())["notes"]
    assert note.startswith("Some values are so far from usual that version 7 takes them")


async def _answered(batcher: Batcher, version: Loaded, asked: Array, options: PredictOptions) -> RowAnswers:
    return await batcher.ask(version.predictor, asked, options)
