"""Batches: the same content once, named by id, their state computed."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise, product

import pytest
from sqlalchemy import bindparam, select, text

from service.contract.enums import BatchState
from service.errors import Conflict, InvalidContent, NotFound
from service.registry import batches, deployments, models, versions
from service.registry.rows import same_rows
from service.registry.sql.base import Table
from service.registry.sql.conditions import WAITING
from service.registry.sql.database import Database
from service.registry.sql.tables import AuditEntry, Batch, Deployment, Update, Version
from tests.registry.facts import arrival, batch, learn, model, promoted, roll_back, version


def test_the_state_is_the_first_that_holds(database: Database) -> None:
    order = [BatchState.ERASED, BatchState.RETRACTED, BatchState.LEARNED, BatchState.REJECTED, BatchState.PENDING]
    for number, holds in enumerate(product([True, False], repeat=4)):
        erased, retracted, learned, rejected = holds
        expected = order[[*holds, True].index(True)]
        with database.writing() as session:
            digits = model(session, f"m{number}")
            stored = batch(session, digits)
            if learned:
                promoted(session, digits, [stored.id])
            stored.erased_at = 2.0 if erased else None
            stored.retracted_at = 1.0 if retracted else None
            stored.rejected_by = learn(session, digits).id if rejected else None
            session.flush()
            assert batches.state(stored) is expected
            resource = batches.resources_of(session, digits, [stored])[0]
            assert (resource.state, resource.in_live) == (expected, learned)
            if not erased:
                waits = [b.id for b in batches.pending(session, digits)]
                assert waits == ([stored.id] if expected is BatchState.PENDING else [])


def test_amounts_in_another_currency_than_in_the_newest_live_batch_are_told(database: Database) -> None:
    def noted(sign: str, source: str | None = None, live: bool = True) -> tuple[str, list[str] | None]:
        notes = ["The day stands first in dates.", f'Amounts of "rent, "net"" are in {sign}.'] if sign else None
        sent = replace(arrival(batches.new_batch_id()), notes=notes, source=source)
        with database.writing() as session:
            made, _ = batches.accept(session, models.get(session, "flats"), sent)
            made.in_live = live
            return made.id, made.notes

    def other(sign: str, batch_id: str, before: str) -> str:
        amounts = f'Amounts of "rent, "net"" are in {sign}, and those of batch {batch_id} in {before}: they are learned'
        return (
            f"{amounts} as the same numbers. If that is not meant, take this batch back, and send it in one currency."
        )

    with database.writing() as session:
        model(session, "flats")
    first, notes = noted("$")
    assert notes == ["The day stands first in dates.", 'Amounts of "rent, "net"" are in $.']
    assert noted("")[1] is None
    assert noted("€", live=False)[1] == [notes[0], other("€", first, "$")]
    told = noted("€")[1]
    assert told == [notes[0], other("€", first, "$")], "what is not live says nothing"
    assert noted("€")[1] == [notes[0], 'Amounts of "rent, "net"" are in €.']
    told = noted("£", "Leeds")[1]
    assert told is not None
    assert "in £, and those of batch" in told[1]
    assert noted("£", "Leeds")[1] == [notes[0], 'Amounts of "rent, "net"" are in £.'], "its source is asked first"


def test_a_batch_is_learned_while_the_live_version_knows_it_and_pending_otherwise(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b = batch(session, digits), batch(session, digits)
        promoted(session, digits, [a.id])
        version(session, digits, [a.id, b.id])
        assert [x.id for x in batches.pending(session, digits)] == [b.id]
        promoted(session, digits, [a.id, b.id])
        assert batches.pending(session, digits) == []
        roll_back(session, digits)
        assert [x.id for x in batches.pending(session, digits)] == [b.id]


def test_the_same_content_and_source_is_the_same_batch(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first, new = batches.accept(session, digits, arrival("d" * 64, source="shop"))
        assert new
        again, new = batches.accept(session, digits, arrival("d" * 64, source="shop"))
        assert (again.id, new) == (first.id, False)


def test_anything_else_is_a_batch_of_its_own(database: Database) -> None:
    d, e = "d" * 64, "e" * 64
    with database.writing() as session:
        digits = model(session)
        batches.accept(session, digits, arrival(d, source="shop"))
        for digest, source, again in ((e, "shop", False), (d, "street", False), (d, None, False), (d, "shop", True)):
            _, new = batches.accept(session, digits, arrival(digest, source, again))
            assert new, (digest, source, again)


def test_the_same_content_without_a_source_is_the_same_batch(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first, _ = batches.accept(session, digits, arrival("d" * 64))
        again, new = batches.accept(session, digits, arrival("d" * 64))
        assert (again.id, new) == (first.id, False)


def test_content_that_was_retracted_or_belongs_to_another_model_is_new(database: Database) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        first, _ = batches.accept(session, digits, arrival("d" * 64))
        assert batches.accept(session, letters, arrival("d" * 64))[1]
        first.retracted_at = 1.0
        session.flush()
        assert batches.accept(session, digits, arrival("d" * 64))[1]


def test_the_same_rows_from_another_source_are_learned_and_it_is_said(database: Database) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        batches.accept(session, letters, arrival("d" * 64, "north"))
        nameless, _ = batches.accept(session, digits, arrival("d" * 64))
        assert nameless.notes is None, "another model has them"
        read = replace(arrival("d" * 64, "north"), notes=["Read so."])
        north, new = batches.accept(session, digits, read)
        back = "If that is not meant, take one of the two back."
        first = f"Batch {nameless.id} without a source has the same rows: they count twice. {back}"
        assert (north.notes, new) == ([first, "Read so."], True)
        batches.retract(session, digits, nameless)
        south, _ = batches.accept(session, digits, arrival("d" * 64, "south"))
        assert south.notes == [f'Batch {north.id} from "north" has the same rows: they count twice. {back}']
        for batch_ in (north, south):
            batch_.rejected_by = learn(session, digits).id
        session.flush()
        west, _ = batches.accept(session, digits, arrival("d" * 64, "west"))
        assert west.notes is None, "what was rejected or taken back does not count"
        east, _ = batches.accept(session, digits, arrival("d" * 64, "east", again=True))
        assert east.notes is None, "it was said on purpose"


def test_rows_that_were_corrected_do_not_come_back_while_the_corrected_ones_count(database: Database) -> None:
    def corrected(old: Batch, digest: str) -> Batch:
        new, _ = batches.accept(session, digits, arrival(digest, "shop", again=True))
        new.corrects = old.id
        batches.retract(session, digits, old)
        session.flush()
        return new

    with database.writing() as session:
        digits = model(session)
        first, _ = batches.accept(session, digits, arrival("d" * 64, "shop"))
        undone = corrected(first, "c" * 64)
        batches.retract(session, digits, undone)
        last = corrected(corrected(first, "e" * 64), "f" * 64)
        assert same_rows.in_place_of(session, first) is last
        assert same_rows.corrected_by(session, [first, undone]) == {first.id: last.id}
        with pytest.raises(Conflict, match=f"came as batch {first.id}, .* batch {last.id} has them now"):
            batches.accept(session, digits, arrival("d" * 64, "shop"))
        assert batches.accept(session, digits, arrival("d" * 64, "street"))[1]
        assert batches.accept(session, digits, arrival("f" * 64, "shop")) == (last, False)
        again, new = batches.accept(session, digits, arrival("d" * 64, "shop", again=True))
        assert new
        assert same_rows.taken_back_before(session, digits, [again]) == [(again, first)]
        batches.retract(session, digits, again)
        batches.retract(session, digits, last)
        session.flush()
        assert same_rows.in_place_of(session, first) is None
        assert same_rows.corrected_by(session, [first, undone, last]) == {}
        assert batches.accept(session, digits, arrival("d" * 64, "shop"))[1], "nothing has them now"


def test_a_batch_that_was_corrected_again_and_again_is_found_however_often(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first = batch(session, digits)
        facts = {column.name: getattr(first, column.name) for column in Batch.__table__.columns}
        ids = [first.id, *(batches.new_batch_id() for _ in range(sys.getrecursionlimit()))]
        made = [Batch(**facts | {"id": new, "corrects": old, "retracted_at": 1.0}) for old, new in pairwise(ids)]
        made[-1].retracted_at = None
        session.add_all(made)
        session.flush()
        assert same_rows.in_place_of(session, first) is made[-1]
        gone = [first, *made[:-1]]
        assert same_rows.corrected_by(session, gone) == dict.fromkeys([old.id for old in gone], made[-1].id)


def test_a_batch_is_found_under_its_own_model_alone(database: Database) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        stored = batch(session, digits)
        assert batches.get(session, digits, stored.id) is stored
        for wrong_model, wrong_id in [(letters, stored.id), (digits, "bat_0")]:
            with pytest.raises(NotFound):
                batches.get(session, wrong_model, wrong_id)


def test_named_batches_come_once_each_and_an_unknown_one_is_pointed_at(database: Database) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        a, b, foreign = batch(session, digits), batch(session, digits), batch(session, letters)
        assert batches.named(session, digits, [b.id, a.id, b.id]) == [b, a]
        for unknown in ("bat_0", foreign.id):
            with pytest.raises(InvalidContent) as refused:
                batches.named(session, digits, [a.id, unknown])
            assert [pointer for pointer, _ in refused.value.errors] == ["/batches/1"]


def test_learning_rows_are_counted_up_to_what_is_enough(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        for _ in range(3):
            batch(session, digits)
        gone = batch(session, digits)
        gone.retracted_at = 1.0
        session.flush()
        assert batches.learning_rows(session, digits, ["a", "b", "c"], enough=100) == {"a": 6, "b": 3, "c": 0}
        assert batches.learning_rows(session, digits, ["a"], enough=2)["a"] >= 2
        assert batches.learning_rows(session, digits, [], enough=2) == {}


@pytest.mark.sqlite
def test_the_newest_batches_of_a_model_are_found_without_sorting_all_of_them(database: Database) -> None:
    with database.reading() as session:
        query = select(Batch.folds).where(Batch.model_id == 1, Batch.retracted_at.is_(None)).order_by(Batch.id.desc())
        plan = session.execute(
            text(f"EXPLAIN QUERY PLAN {query.compile(compile_kwargs={'literal_binds': True})}")
        ).all()
    assert [step.detail for step in plan] == ["SEARCH batches USING INDEX ix_batches_model_id_id (model_id=?)"]


@pytest.mark.sqlite
def test_retracted_batches_are_found_without_reading_all_of_them(database: Database) -> None:
    of_model = versions._RETRACTED.where(Batch.model_id == bindparam("model_id")).order_by(Batch.id)
    with database.reading() as session:
        plans = [session.execute(text(f"EXPLAIN QUERY PLAN {versions._RETRACTED}")).all()]
        plans.append(session.execute(text(f"EXPLAIN QUERY PLAN {of_model}"), {"model_id": 1}).all())
    assert [step.detail for plan in plans for step in plan] == [
        "SCAN batches USING INDEX ix_batches_retracted",
        "SEARCH batches USING INDEX ix_batches_retracted (model_id=?)",
    ]


def test_rows_that_a_version_learned_are_counted_with_it_and_what_is_gone_when_asked(
    database: Database,
) -> None:
    with database.writing() as session:
        digits = model(session)
        first, other, merged = (batch(session, digits).id for _ in range(3))
        one = promoted(session, digits, [first, other])
        session.get_one(Batch, first).kept_rows = 0
        ledger = session.get_one(Batch, merged)
        ledger.merged, ledger.kept_rows = 2, 0
        two = promoted(session, digits, [first, merged])
        rows = session.get_one(Batch, first).rows
        assert (one.rows, two.rows) == (2 * rows, 2 * rows)
        assert batches.rows_learned(session, one) == (2 * rows, rows, 0)
        assert batches.rows_learned(session, two) == (2 * rows, 0, rows)
        two.rows = None  # made by an earlier release
        assert batches.rows_learned(session, two) == (2 * rows, 0, rows)
        assert promoted(session, digits, [first, other, merged]).rows == 3 * rows


@pytest.mark.sqlite
def test_batches_that_lack_rows_are_found_without_reading_all_of_them(database: Database) -> None:
    with database.reading() as session:
        plan = session.execute(text(f"EXPLAIN QUERY PLAN {batches._LACKING}"), {"model_id": 1}).all()
    assert [step.detail for step in plan] == ["SEARCH batches USING INDEX ix_batches_lacking (model_id=?)"]


@pytest.mark.sqlite
def test_what_waits_is_found_in_an_index_that_holds_little_else(database: Database) -> None:
    query = select(Batch.id).where(Batch.model_id == 1, WAITING)
    with database.reading() as session:
        literal = query.compile(session.connection(), compile_kwargs={"literal_binds": True})
        plan = session.execute(text(f"EXPLAIN QUERY PLAN {literal}")).all()
    assert [step.detail for step in plan] == ["SEARCH batches USING INDEX ix_batches_waiting (model_id=?)"]


@pytest.mark.sqlite
@pytest.mark.parametrize("table", [Update, Version, Batch, Deployment, AuditEntry])
def test_a_page_of_a_list_is_found_in_an_index_in_its_order(database: Database, table: type[Table]) -> None:
    of_model = "model = 'digits'" if table is AuditEntry else "model_id = 1"
    order = "number" if table is Version else "id"
    page = f"SELECT * FROM {table.__tablename__} WHERE {of_model} ORDER BY {order} DESC LIMIT 51"
    with database.reading() as session:
        plan = [step.detail for step in session.execute(text(f"EXPLAIN QUERY PLAN {page}")).all()]
    assert len(plan) == 1
    assert plan[0].startswith(f"SEARCH {table.__tablename__} USING INDEX")


def test_which_batches_are_in_the_live_version_follows_every_move_of_the_pointer(database: Database) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        foreign = batch(session, letters).id
        promoted(session, letters, [foreign])
        a, b, c = (batch(session, digits).id for _ in range(3))

        def holds(*expected: str) -> None:
            marked = select(Batch.id).where(Batch.model_id == digits.id, Batch.in_live).order_by(Batch.id)
            assert [*session.scalars(marked)] == sorted(expected)
            waiting = {a, b, c}.difference(expected)
            assert {batch.id for batch in batches.pending(session, digits)} == waiting
            counted = batches.pending_counts(session, [digits.id, letters.id])
            assert (counted[digits.id].batches, counted[digits.id].rows) == (len(waiting), 4 * len(waiting))
            assert counted[letters.id].batches == 0

        holds()
        first = promoted(session, digits, [a])
        holds(a)
        promoted(session, digits, [a, b])
        holds(a, b)
        other = promoted(session, digits, [b, c])
        holds(b, c)
        roll_back(session, digits)
        holds(a, b)
        deployments.promote(session, digits, other, "again", "somebody")
        holds(b, c)
        deployments.promote(session, digits, first, "far back", "somebody")
        holds(a)
        deployments.promote(session, digits, other, "far forth", "somebody")
        roll_back(session, digits, to=1)
        holds(a)
