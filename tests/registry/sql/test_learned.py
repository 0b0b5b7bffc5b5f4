"""What versions learned is read back as it was written, along lines, branches and retractions."""

from __future__ import annotations

from random import Random

import pytest
from sqlalchemy import select

from service.registry import versions
from service.registry.sql.database import Database
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Version
from tests.registry.facts import batch, made, model

pytestmark = [pytest.mark.sqlite, pytest.mark.postgres]


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
