"""Pages of a list: newest first, each row once, also while rows arrive; ids sort by age."""

from __future__ import annotations

import pytest

from service.errors import InvalidContent, NotFound
from service.registry import aliases, batches, deployments, models, updates, versions
from service.registry.callers.reach import Reach
from service.registry.ids import new_id
from service.registry.sql.database import Database
from tests.registry.facts import batch, learn, model, promoted


def test_pages_hold_every_row_once_newest_first(database: Database) -> None:
    with database.writing() as session:
        digits, other = model(session), model(session, "other")
        made = [learn(session, digits).id for _ in range(7)]
        learn(session, other)
        seen: list[str] = []
        cursor: str | None = None
        for size in (3, 3, 1):
            page, cursor = updates.page(session, digits, 3, cursor)
            assert len(page) == size
            seen += [u.id for u in page]
        assert cursor is None
        assert seen == made[::-1]


def test_rows_that_arrive_between_two_pages_do_not_shift_them(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        made = [learn(session, digits).id for _ in range(4)]
        first, cursor = updates.page(session, digits, 2, None)
        learn(session, digits)
        second, end = updates.page(session, digits, 2, cursor)
        assert [u.id for u in [*first, *second]] == made[::-1]
        assert end is None


def test_a_page_that_is_just_full_is_the_last_one(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        for _ in range(2):
            batch(session, digits)
        page, cursor = batches.page(session, digits, 2, None)
        assert (len(page), cursor) == (2, None)


def test_every_list_pages_by_its_own_key(database: Database) -> None:
    with database.writing() as session:
        for name in ("a", "b", "c"):
            digits = model(session, name)
        for _ in range(3):
            promoted(session, digits, [batch(session, digits).id])
        page, cursor = versions.page(session, digits, 2, None)
        assert ([v.number for v in page], cursor) == ([3, 2], "2")
        assert [v.number for v in versions.page(session, digits, 2, cursor)[0]] == [1]
        moves, cursor = deployments.page(session, digits, 2, None)
        assert [d.id for d in [*moves, *deployments.page(session, digits, 2, cursor)[0]]] == [3, 2, 1]
        names, cursor = models.page(session, 2, None)
        assert [m.name for m in [*names, *models.page(session, 2, cursor)[0]]] == ["c", "b", "a"]


def test_a_cursor_tells_nothing_of_other_models_and_where_rows_are_deleted_meanwhile_none_is_left_out(
    database: Database,
) -> None:
    with database.writing() as session:
        for name in ("other", "digits", "another", "wine"):
            of = model(session, name)
            promoted(session, of)
            for alias in ("first", "second", "third"):
                aliases.put(session, of, alias, 1, "operator", 9)
        digits = models.get(session, "digits")
        named, cursor = aliases.page(session, digits, 1, None)
        assert ([alias.name for alias in named], cursor) == (["third"], "3")
        aliases.delete(session, digits, "first")
        again, end = aliases.page(session, digits, 2, cursor)
        assert ([alias.name for alias in again], end) == (["third", "second"], None)
        mine, cursor = models.page(session, 1, None, Reach.of(["digits", "wine"]))
        assert ([m.name for m in mine], cursor) == (["wine"], "2")
        rest, end = models.page(session, 1, cursor, Reach.of(["digits", "wine"]))
        assert ([m.name for m in rest], end) == (["digits"], None)


def test_updates_are_filtered_by_state_and_kind_and_batches_by_source(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        queued = learn(session, digits)
        learn(session, digits).state = "failed"
        session.flush()
        assert [u.id for u in updates.page(session, digits, 9, None, state="queued")[0]] == [queued.id]
        assert updates.page(session, digits, 9, None, kind="retract")[0] == []
        page = batch(session, digits)
        assert batches.page(session, digits, 9, None, source="shop")[0] == []
        page.source = "shop"
        session.flush()
        assert batches.page(session, digits, 9, None, source="shop")[0] == [page]


def test_a_cursor_that_no_page_gave_is_refused(database: Database) -> None:
    for cursor in ["", "x", "1.5", "0", "1", "-2", "9" * 30, "\ud800"]:
        with database.writing() as session, pytest.raises(InvalidContent):
            models.page(session, 2, cursor)


@pytest.mark.parametrize("cursor", ["x", "\ud800", "upd_" + "f" * 500])
def test_a_strange_cursor_in_a_list_by_id_is_no_crash(database: Database, cursor: str) -> None:
    with database.writing() as session:
        digits = model(session)
        try:
            page, end = updates.page(session, digits, 2, cursor)
        except InvalidContent:
            return
        assert (page, end) == ([], None)


@pytest.mark.parametrize("number", [0, 2**63, 10**30])
def test_a_number_that_no_version_can_have_is_not_found(database: Database, number: int) -> None:
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        with pytest.raises(NotFound):
            versions.get(session, digits, number)


def test_events_begin_anew_after_a_number_that_none_has(database: Database) -> None:
    with database.writing() as session:
        update = learn(session, model(session))
        assert [e.kind for e in updates.events(session, update.id)] == ["queued"]
        assert updates.events(session, update.id, after=1) == []
        assert [e.id for e in updates.events(session, update.id, after=10**30)] == [1]


def test_ids_made_one_after_another_sort_by_age_and_have_one_length() -> None:
    made = [new_id("upd") for _ in range(2000)]
    assert sorted(made) == made
    assert len(set(made)) == 2000
    assert {len(name) for name in made} == {28}
