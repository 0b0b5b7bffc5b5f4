"""Batches that share most of their rows are told, and rows that recur by their nature are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.learning.data.batch_sketch import sketch_of
from service.learning.data.rows import Known, rows_of
from service.registry import batches
from service.registry.rows import sketches
from service.registry.rows.sketches import LOOKED_AT
from service.registry.sql.database import Database
from service.registry.sql.tables import Batch, Model, RowMark
from service.remedies import RETRACT, found
from tests.registry.facts import arrival, learn, model

SECRET = b"s" * 32
Numbers = NDArray[np.float64]


def push(
    session: Session, of: Model, inputs: Numbers, outcomes: Numbers | list[str], again: bool = False, count: int = 0
) -> Batch:
    """A batch of these rows; outcomes: labels, or targets."""
    labels = outcomes if isinstance(outcomes, list) else [""] * len(inputs)
    targets = np.zeros((len(inputs), 0)) if isinstance(outcomes, list) else outcomes[:, None]
    rows = rows_of("bat_0", inputs, labels, SECRET, Known(targets=targets))
    plain = arrival(batches.new_batch_id(), again=again)
    return batches.accept(session, of, replace(plain, rows=len(rows), sketch=sketch_of(rows, SECRET)))[0]


def table(rows: int = 200, seed: int = 0, width: int = 6) -> tuple[Numbers, list[str]]:
    drawn = np.random.default_rng(seed)
    return drawn.normal(size=(rows, width)), [str(k) for k in drawn.integers(0, 3, rows)]


def test_a_file_that_is_pushed_again_with_cells_corrected_names_the_batch_that_it_came_as(database: Database) -> None:
    inputs, labels = table()
    corrected = inputs.copy()
    corrected[np.arange(12) * 7, np.arange(12) % 6] += 1
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        push(session, letters, inputs, labels)
        first = push(session, digits, inputs, labels)
        assert first.notes is None
        second = push(session, digits, corrected, labels)
        assert second.notes is not None
        (note,) = second.notes
        assert note.startswith(f"188 of 200 rows are in batch {first.id}, too: they count twice. ")
        ((remedy, _, values),) = found(note)
        assert (remedy, values) == (RETRACT, {"model": "digits", "batches": f'["{first.id}"]'})
        batches.retract(session, digits, first)
        batches.retract(session, digits, second)
        session.flush()
        assert push(session, digits, corrected + 0.0, labels).notes is None, "what was taken back does not count"


def test_what_was_taken_back_hides_no_batch_before_it(database: Database) -> None:
    inputs, labels = table()
    with database.writing() as session:
        digits = model(session)
        first = push(session, digits, inputs, labels)
        for _ in range(LOOKED_AT + 1):
            batches.retract(session, digits, push(session, digits, inputs + 0.0, labels, again=True))
        session.flush()
        notes = push(session, digits, inputs, labels).notes or [""]
    assert notes[0].startswith(f"All 200 rows are in batch {first.id}")


def test_what_was_rejected_or_is_sent_again_on_purpose_is_not_told(database: Database) -> None:
    inputs, labels = table()
    with database.writing() as session:
        digits = model(session)
        first = push(session, digits, inputs, labels)
        assert push(session, digits, inputs[:190], labels[:190], again=True).notes is None
        for batch in session.scalars(select(Batch)):
            batch.rejected_by = learn(session, digits).id
        session.flush()
        assert push(session, digits, inputs[:180], labels[:180]).notes is None
        first.in_live = True
        session.flush()
        late = push(session, digits, inputs[::-1][:195], labels[::-1][:195])
        assert late.notes is not None
        assert late.notes[0].startswith("All 195 rows are in batch")


@pytest.mark.parametrize("number", [0, 3])
def test_a_column_in_another_unit_leaves_the_other_half_of_each_row(database: Database, number: int) -> None:
    inputs, labels = table()
    other = inputs.copy()
    other[:, number] = other[:, number] * 1.8 + 32
    with database.writing() as session:
        digits = model(session)
        first = push(session, digits, inputs, labels)
        notes = push(session, digits, other, labels).notes or [""]
    assert notes[0].startswith(
        f"Nearly all 200 rows are in batch {first.id}, too, but for some columns: they count twice."
    )


def test_targets_in_another_unit_leave_the_inputs(database: Database) -> None:
    inputs, _ = table()
    targets = inputs.sum(1)
    with database.writing() as session:
        digits = model(session)
        first = push(session, digits, inputs, targets)
        notes = push(session, digits, inputs, targets * 100).notes or [""]
    assert notes[0].startswith(f"Nearly all 200 rows have inputs of batch {first.id}, and other labels or targets")


def test_of_many_rows_the_share_is_estimated_and_a_window_that_overlaps_is_told(database: Database) -> None:
    inputs, labels = table(9000)
    with database.writing() as session:
        digits = model(session)
        first = push(session, digits, inputs[:5000], labels[:5000])
        far = push(session, digits, inputs[4000:], labels[4000:])
        assert far.notes is None, "a fifth"
        batches.retract(session, digits, far)
        session.flush()
        notes = push(session, digits, inputs[1000:6000], labels[1000:6000]).notes or [""]
    about, _, rest = notes[0].partition(" % of 5,000 rows are in batch ")
    assert abs(int(about.removeprefix("About ")) - 80) <= 10
    assert rest.startswith(first.id)


@pytest.mark.parametrize("columns", [3, 8, 12])
def test_rows_of_a_few_values_that_recur_by_themselves_are_not_told(database: Database, columns: int) -> None:
    drawn = np.random.default_rng(columns)
    with database.writing() as session:
        digits = model(session)
        for rows in (200, 200, 50, 1000, 200):
            inputs = drawn.integers(0, 2, (rows, columns)).astype(np.float64)
            labels = [str(int(k)) for k in inputs[:, 0]]
            assert push(session, digits, inputs, labels).notes is None


def test_a_small_batch_that_has_nearly_all_rows_that_there_are_is_named_by_no_later_one(database: Database) -> None:
    """Ten of a dozen kinds of rows: of its own rows none has a twin, and of later ones nearly all are in it."""
    kinds, drawn = np.arange(12.0)[:, None] * [1.0, 0.5], np.random.default_rng(0)
    with database.writing() as session:
        digits = model(session)
        push(session, digits, kinds[:10], ["a"] * 10)
        later = [push(session, digits, kinds[drawn.integers(0, 12, 10)], ["a"] * 10).notes for _ in range(20)]
    assert later == [None] * 20


def test_inputs_that_come_with_other_targets_each_time_are_told_no_more(database: Database) -> None:
    """As of shops, of which each week brings one row each."""
    inputs, _ = table()
    drawn = np.random.default_rng(1)
    with database.writing() as session:
        digits = model(session)
        told = [push(session, digits, inputs, drawn.normal(size=200)).notes is not None for _ in range(6)]
    assert told == [False, True, True, False, False, False]


def test_few_rows_texts_and_batches_of_before_are_compared_with_nothing_that_would_mislead(database: Database) -> None:
    inputs, labels = table(4)
    texts = np.array([f"the text {k}" for k in range(40)], object)
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        push(session, digits, inputs, labels)
        assert push(session, digits, inputs[::-1], labels[::-1]).notes is None, "four rows"
        first = push(session, letters, texts, ["a"] * 40)
        notes = push(session, letters, texts[:39], ["a"] * 39).notes or [""]
        assert notes[0].startswith(f"All 39 rows are in batch {first.id}")
        first.sketch = None
        session.flush()
        for batch in session.scalars(select(Batch).where(Batch.model_id == letters.id)):
            batch.sketch = None
        session.flush()
        assert push(session, letters, texts[:38], ["a"] * 38).notes is None, "of before"


def test_nothing_is_known_of_the_rows_of_a_batch_that_was_erased(database: Database) -> None:
    inputs, labels = table()
    with database.writing() as session:
        digits = model(session)
        first, second = (push(session, digits, inputs + k, labels) for k in range(2))
        sketches.erase(session, first)
        session.flush()
        assert first.sketch is None
        assert set(session.scalars(select(RowMark.batch_id))) == {second.id}
        assert session.scalar(select(func.count()).select_from(RowMark)) == 4
