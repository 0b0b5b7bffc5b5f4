"""The benchmark of tables: rows are sent as they came, and every batch is answered before it is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import boosting
from benchmarks.streams.mixed import CLASS_TABLES, ClassTable, Mixed, mixed
from benchmarks.streams.number_learners import by_joint
from benchmarks.streams.number_learners import by_service as numbers_by_service
from benchmarks.streams.numbers import NumberStream
from benchmarks.streams.table_learners import by_boosting, by_service
from benchmarks.tables.answered import BOOSTING, PROMOTED, SERVICE
from benchmarks.tables.ranked import Ranked, beside_boosting, keep, kept, report
from service.contract.tables import value_code

RANDOM = np.random.default_rng(0)
CITIES = np.array(["Oslo", "Lima", None], object)[RANDOM.integers(0, 3, 150)]
SIZES = RANDOM.normal(size=150)
TABLE = mixed({"size": ("number", SIZES), "city": ("category", CITIES), "at": ("date", np.arange(150) / 24)})
BUYS = np.where(SIZES + 2.0 * (CITIES == "Oslo") > 1, "buys", "leaves")
BATCH = np.arange(150) // 50


def test_columns_become_rows_and_a_table_for_trees() -> None:
    made = mixed({"a": ("number", [1.5, np.nan]), "c": ("category", ["x ", None]), "at": ("date", [1.25, 3.0])})
    assert [column.kind for column in made.input.columns] == ["number", "category", "date"]
    assert np.allclose(made.rows, [[1.5, value_code("x"), 108_000], [np.nan, np.nan, 259_200]], equal_nan=True)
    assert made.named == {"c": {value_code("x"): "x"}}
    assert made.coded == (1,)
    trees = [[1.5, 0, 6, 4, 1], [np.nan, np.nan, 0, 6, 3]]
    assert np.allclose(made.table, trees, equal_nan=True), "hour, weekday from Monday, day"


def test_classes_are_answered_before_they_are_learned() -> None:
    """Of two batches the second says the opposite: who had learned it would rank it well."""
    turned = np.where(BATCH == 1, np.where(BUYS == "buys", "leaves", "buys"), BUYS)[:100]
    first_two = Mixed(TABLE.input, TABLE.rows[:100], TABLE.table[:100], TABLE.coded, TABLE.named)
    stream = ClassTable("turned", first_two, turned, BATCH[:100])
    run = by_service(stream, PROMOTED)
    assert (run.rows, run.batches, len(run.gate)) == (50, 1, 2)
    assert run.auc < 0.2
    assert by_boosting(stream, every=1).auc < 0.2
    assert len(by_boosting(ClassTable("drawn", TABLE, BUYS, BATCH), every=1, once=True).seconds) == 1


def test_numbers_of_tables_are_answered_before_they_are_learned() -> None:
    y = (10 * SIZES + 20 * (CITIES == "Oslo"))[50:]
    stream = NumberStream(
        "drawn", TABLE.rows[50:], y, BATCH[50:] - 1, table=TABLE.table[50:], coded=TABLE.coded, input=TABLE.input
    )
    stream.named.update(TABLE.named)
    run = numbers_by_service(stream, PROMOTED)
    assert run.rows == 50
    assert run.mae < 6
    assert by_joint(stream, BOOSTING, every=1).mae < 12


def test_a_table_of_classes_says_what_was_aimed_at(tmp_path: Path) -> None:
    runs = [
        keep(Ranked(stream, learner, auc, 0.8, 10, 2, [0.1]), tmp_path / "runs")
        for stream, learner, auc in (
            ("a", SERVICE, 0.84),
            ("a", BOOSTING, 0.83),
            ("b", SERVICE, 0.7),
            ("b", BOOSTING, 0.72),
        )
    ]
    assert kept(tmp_path / "runs") == runs
    assert beside_boosting(runs[2], runs) == pytest.approx(-0.02)
    said = "\n".join(report(runs))
    assert "MISSED   least AUC beside joint boosting's: -0.02 >= -0.002" in said
    assert "MISSED   the same, mean over streams: -0.005 >= 0" in said


def test_a_run_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CLASS_TABLES, "churn", lambda folder: ClassTable("churn", TABLE, BUYS, BATCH))
    words = ["--streams", "churn", "--learners", "joint,never", "--json", str(tmp_path / "out")]
    assert boosting.main(words) == boosting.main(words) == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 2
    assert "joint boosting" in capsys.readouterr().out
    assert boosting.main(["--streams", "employment", "--data", str(tmp_path)]) == 2
