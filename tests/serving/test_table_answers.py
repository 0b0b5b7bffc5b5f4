"""A loaded version of tables: what it never learned counts as missing, and its answers say so, in few words."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from service.contract.inputs import Architecture, MlpBackbone
from service.contract.tables import value_code
from service.intake.kinds.tables import read_table
from service.learning.data.target_grid import UNIT_STEPS, NumberGrid
from service.serving import notes
from service.serving.answers import Answer
from service.serving.batcher import Batcher
from service.serving.kinds.kind import PredictOptions
from service.serving.loaded_versions import Loaded
from service.serving.predictor import Predictor
from tests.making import table_checkpoint
from tests.tables import table_of

TABLE = table_of(
    {
        "age": "number",
        "city": "category",
        "job": "category",
        "customer": {"kind": "category", "many": True},
        "booked": "date",
    }
)
LEARNED = {"city": ["Osaka", "Nara"], "job": ["cook"]}
ONE = NumberGrid(names=["price"], offset=[500.0], step=[64 / UNIT_STEPS])


def loaded(learned: Mapping[str, Sequence[str]] | None = LEARNED, **made: Any) -> Loaded:
    return Loaded(1, "stays", 3, "", Predictor(table_checkpoint(TABLE, learned, **made)))


def answer(version: Loaded, rows: list[Any]) -> Any:
    inputs, names = read_table(rows, TABLE, "stays")
    options = version.settled(PredictOptions())
    return json.loads(Answer(version, version.predictor.answer(inputs, options), options, names).json())


@pytest.mark.parametrize("grid", [None, ONE])
def test_a_value_that_was_never_learned_counts_as_missing_and_is_named(grid: NumberGrid | None) -> None:
    version = loaded(grid=grid)
    known, unknown, missing = ({"age": 3, "city": city} for city in ("Osaka", 'Ky"oto', None))
    answered = [answer(version, [row]) for row in (known, unknown, missing)]
    assert answered[1]["notes"] == ['Version 3 has not learned "Ky"oto" of city: it counts as missing.']
    assert "notes" not in answered[0] | answered[2]
    assert answered[1]["predictions"] == answered[2]["predictions"] != answered[0]["predictions"]
    together = answer(version, [known, unknown, missing])
    assert together["notes"] == answered[1]["notes"]
    for row, alone in zip(together["predictions"], answered, strict=True):
        number = "score" if grid is None else "value"
        assert row[number] == pytest.approx(alone["predictions"][0][number])


def test_notes_stay_few_and_short_however_many_values_and_columns_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"city": f"{k} {'x' * 190}", "job": "smith" if k else "cook"} for k in range(300)]
    first, second = answer(loaded(), rows)["notes"]
    assert first.startswith('Version 3 has not learned "0 xxx')
    assert first.endswith('..." and 295 more of city: they count as missing.')
    assert len(first) < 700
    assert second == 'Version 3 has not learned "smith" of job: it counts as missing.'
    monkeypatch.setattr(notes, "COLUMNS", 1)
    assert answer(loaded(), rows)["notes"] == [first, "1 more column has such values."]


def test_a_version_without_any_learned_value_names_all_and_one_that_keeps_no_list_none() -> None:
    row = {"city": "Osaka", "job": "cook", "customer": "c-1"}
    none, every = loaded({}), loaded(None)
    assert len(answer(none, [row])["notes"]) == 2
    assert answer(none, [row])["predictions"] == answer(none, [{"customer": "c-1"}])["predictions"]
    assert "notes" not in answer(every, [row])
    assert answer(every, [row])["predictions"] != answer(every, [{"customer": "c-1"}])["predictions"]


def test_what_a_version_learned_counts_as_memory() -> None:
    many = {"city": [f"city {k}" for k in range(1000)]}
    assert loaded(many).predictor.bytes - loaded({}).predictor.bytes > 100_000


def test_an_mlp_answers_tables() -> None:
    version = loaded(architecture=Architecture(backbone=MlpBackbone(name="mlp", hidden=[8])))
    known, unknown, missing = (answer(version, [{"city": city}]) for city in ("Nara", "Kyoto", None))
    assert unknown["predictions"] == missing["predictions"] != known["predictions"]
    assert unknown["notes"]


def test_rows_of_several_questions_keep_codes_and_gaps_when_they_pass_together() -> None:
    version = loaded()
    rows = np.array([[31, value_code("Osaka"), np.nan, value_code("c-1"), 1.8e9], [np.nan] * 5])
    alone = [version.predictor.answer(row[None]).values[0] for row in rows]

    async def ask() -> list[Any]:
        batcher = Batcher(5.0)
        try:
            return await asyncio.gather(*(batcher.ask(version.predictor, row[None], PredictOptions()) for row in rows))
        finally:
            batcher.close()

    for got, due in zip(asyncio.run(ask()), alone, strict=True):
        assert np.allclose(got.values[0], due, atol=1e-6)


def test_versions_whose_values_grow_leave_nothing_behind_when_they_are_dropped() -> None:
    dropped = []
    for swap in range(4):
        version = loaded({"city": [f"city {k}" for k in range(10 * swap)]})
        notes_due = answer(version, [{"city": "city 25"}]).get("notes", [])
        assert bool(notes_due) == (swap < 3)
        dropped.append(weakref.ref(version.predictor))
    del version
    assert [predictor() for predictor in dropped] == [None] * 4
