"""What versions learned is read back as it was written, along lines, branches and retractions."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, select

from service.registry import deployments, models, versions
from service.registry.sql import learned
from service.registry.sql.database import Database
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Version
from tests.registry.facts import batch, made, model


class Dropping(dict[int, tuple[str, ...]]):
    """What sessions know in common, where another thread drops each version right after a look at it."""

    def __contains__(self, key: object) -> bool:
        there = super().__contains__(key)
        self.pop(key, None)  # type: ignore[call-overload]
        return there

    def __getitem__(self, key: int) -> tuple[str, ...]:
        return self.pop(key)

    def get(self, key: int, default: Any = None) -> Any:
        return self.pop(key, default)


def line(database: Database, length: int) -> dict[int, tuple[str, ...]]:
    """Versions of which each is the parent of the next, with what they learned, oldest first."""
    expected = dict[int, tuple[str, ...]]()
    with database.writing() as session:
        digits = model(session)
        ids = sorted(batch(session, digits).id for _ in range(length))
        for k in range(length):
            new = versions.add(session, digits, None, next(reversed(expected), None), made(ids[: k + 1]))
            expected[new.id] = tuple(ids[: k + 1])
    return expected


@contextmanager
def queries(database: Database, words: str) -> Iterator[list[str]]:
    """Collects the queries that say this."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.extend([statement] * (words in statement))

    event.listen(database.readers, "before_cursor_execute", note)
    yield asked
    event.remove(database.readers, "before_cursor_execute", note)


@pytest.mark.parametrize("every", [8, 256])
def test_each_version_learned_what_it_was_made_with(
    database: Database, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "EVERY", every)
    drawn, expected = Random(0), dict[int, tuple[str, ...]]()
    with database.writing() as session:
        digits = model(session)
        ids = [batch(session, digits).id for _ in range(9)]
        for _ in range(40):
            parent = drawn.choice([None, *expected, *[*expected][-3:] * 9])
            changed = {*expected.get(parent or 0, ())} ^ {*drawn.sample(ids, drawn.randint(0, 2))}
            new = versions.add(session, digits, None, parent, made(sorted(changed, reverse=True)))
            expected[new.id] = tuple(sorted(changed))
            assert tuple(new.learned) == expected[new.id]
        named = session.scalars(select(Version.number).where(Version.whole.is_not(None))).all()
        assert bool(named) == (every == 8)
        assert len(named) < 20
    for order in (list(expected), list(expected)[::-1]):
        fresh = open_database(database.url)
        with fresh.reading() as session:
            assert {k: tuple(session.get_one(Version, k).learned) for k in order} == expected
        fresh.close()


def test_what_was_not_committed_is_forgotten(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first, second = (batch(session, digits).id for _ in range(2))
    with database.writing() as session:
        gone = versions.add(session, digits, None, None, made([first]))
        assert tuple(gone.learned) == (first,)
        session.rollback()
    with database.writing() as session:
        kept = versions.add(session, digits, None, None, made([second])).id
    with database.reading() as session:
        assert tuple(session.get_one(Version, kept).learned) == (second,)


@pytest.mark.parametrize("newest_first", [False, True])
def test_who_walks_along_a_line_asks_once_for_each_way_up(
    database: Database, newest_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "EVERY", 8)
    monkeypatch.setattr(learned, "MOST", 3)
    expected = line(database, 30)
    with database.reading() as session, queries(database, "RECURSIVE") as asked:
        walked = sorted(session.scalars(select(Version)).all(), key=lambda v: v.number, reverse=newest_first)
        assert {v.id: tuple(v.learned) for v in walked} == expected
        assert len(asked) == (4 if newest_first else 0)  # 30 to 24, 23 to 16, 15 to 8, and the rest
        assert [*session.info[learned.KNOWN]] == [v.id for v in walked[-3:]]


def test_what_another_thread_drops_after_a_look_is_read_from_the_rows(database: Database) -> None:
    expected = line(database, 6)
    shared = Dropping()
    with database.reading() as session:
        for id_ in [*expected, *reversed(expected)]:
            session.expunge_all()
            session.info[learned.KNOWN] = shared
            session.info.pop(learned.ABOVE, None)
            assert tuple(session.get_one(Version, id_).learned) == expected[id_]
        session.expunge_all()
        session.info[learned.KNOWN] = ChainMap({}, Dropping(expected))
        assert {id_: tuple(session.get_one(Version, id_).learned) for id_ in expected} == expected


def test_a_list_without_names_and_what_waits_read_nothing_that_versions_learned(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        ids = [batch(session, digits).id for _ in range(6)]
        for k in range(6):
            unreported = replace(made(ids[: k + 1]), report=None)
            new = versions.add(session, digits, None, digits.live_version_id, unreported)
            deployments.promote(session, digits, new, "", "somebody")
    with database.reading() as session, queries(database, "versions.learned") as named:
        digits = models.get(session, "digits")
        listed, _ = versions.summaries(session, digits, 50, None)
        assert [v.batch_count for v in versions.summaries_of(session, digits, listed)] == [6, 5, 4, 3, 2, 1]
        assert models.resources_of(session, [digits], lambda _: None)[0].pending.batches == 0
        assert not named
