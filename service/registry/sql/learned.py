"""What a version learned: its row says what it learned more than its parent, and less. So rows of a model grow with its
updates, not with their square, and to add one costs the same after any number of batches."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence, Set
from typing import Protocol

from sqlalchemy import JSON, Integer, bindparam, text
from sqlalchemy.orm import Session, object_session

EVERY = 256
"""The row of a version names all of its batches where its number has come into the next so many: nobody reads longer
ways back."""
KNOWN, MOST = "tsuika.learned", 128
"""What `Session.info` has by version, which never changes, and of how many. Sessions that read have it in common, so
that what one finds there another may drop at once."""
ABOVE = "tsuika.above"
"""What `Session.info` has of the versions that its last query read on the way up: who walks there asks no more."""
READ = "_learned"
"""What was read of a version, among its attributes: it can be looked at once its session has ended."""
_UP_TO_WHOLE = text(
    """WITH RECURSIVE above(id, parent_id, partial) AS (
         SELECT id, parent_id, learned IS NULL FROM versions WHERE id IN :ids
         UNION
         SELECT v.id, v.parent_id, v.learned IS NULL
         FROM versions AS v JOIN above ON v.id = above.parent_id WHERE above.partial
       )
       SELECT v.id, v.parent_id, v.learned, v.more, v.less
       FROM above JOIN versions AS v ON v.id = above.id ORDER BY v.id"""
)
_UP_TO_WHOLE = _UP_TO_WHOLE.bindparams(bindparam("ids", expanding=True))
_READ = _UP_TO_WHOLE.columns(id=Integer, parent_id=Integer, learned=JSON, more=JSON, less=JSON)


class Version(Protocol):
    """A row of `tables.Version`, which is made with what is here."""

    @property
    def id(self) -> int: ...
    @property
    def parent_id(self) -> int | None: ...
    @property
    def whole(self) -> Sequence[str] | None: ...
    @property
    def more(self) -> Sequence[str] | None: ...
    @property
    def less(self) -> Sequence[str] | None: ...


def read(session: Session, versions: Sequence[Version]) -> None:
    """Reads what versions learned, by one query at most."""
    known = session.info.setdefault(KNOWN, {})
    lacking: list[Version] = []
    for version in versions:
        learned = _found(session, version.id)
        if learned is None:
            alone = version.whole is not None or version.parent_id is None
            before = () if alone else _found(session, version.parent_id)
            if before is None:
                lacking.append(version)
                continue
            learned = _of(version.whole, before, version.more, version.less)
        known[version.id] = vars(version)[READ] = learned
    if lacking:
        above = session.info[ABOVE] = dict[int, tuple[str, ...]]()
        for id_, parent_id, *facts in session.execute(_READ, {"ids": [version.id for version in lacking]}):
            above[id_] = _of(facts[0], above.get(parent_id, ()), *facts[1:])
        for version in lacking:
            known[version.id] = vars(version)[READ] = above[version.id]
    for oldest in [*known][:-MOST]:
        known.pop(oldest, None)


def learned_of(session: Session, ids: Collection[int | None], of: Set[str]) -> dict[int | None, Set[str]]:
    """Which of some batches each of these versions learned, by its id: one query, and what else they learned is not
    kept. None learned nothing, and those on the way up may be among them."""
    found: dict[int | None, Set[str]] = {None: set()}
    if of and (asked := {*ids} - {None}):
        for id_, parent_id, whole, more, less in session.execute(_READ, {"ids": list(asked)}):
            before = found.get(parent_id, set())
            found[id_] = of & {*whole} if whole is not None else (before - {*(less or ())}) | (of & {*(more or ())})
    return found


def learned_by(version: Version) -> tuple[str, ...]:
    """The batches that a version learned, sorted; first asked for while its session is open."""
    if READ not in vars(version):
        session = object_session(version)
        assert session is not None, "the session in which the version was read has ended"
        read(session, [version])
    learned: tuple[str, ...] = vars(version)[READ]
    return learned


def _found(session: Session, version_id: int | None) -> tuple[str, ...] | None:
    """What is at hand of a version, looked up once."""
    try:
        learned: tuple[str, ...] = session.info[KNOWN][version_id]  # `get` of a ChainMap looks twice
        return learned
    except KeyError:
        above: dict[int | None, tuple[str, ...]] = session.info.get(ABOVE, {})
        return above.get(version_id)


def _of(
    whole: Sequence[str] | None, before: Sequence[str], more: Sequence[str] | None, less: Sequence[str] | None
) -> tuple[str, ...]:
    """The batches of a version, by its row and those of its parent."""
    if whole is not None:
        return tuple(whole)
    more, less = more or (), less or ()
    if not less and (not before or not more or before[-1] < more[0]):
        return (*before, *more)  # as nearly always: a batch that is new has the last name
    return tuple(sorted({*before}.difference(less).union(more)))


def difference(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str]]:
    """What of two sorted lists the second has more, and less."""
    if tuple(before) == tuple(after[: len(before)]):
        return [*after[len(before) :]], []
    return sorted({*after}.difference(before)), sorted({*before}.difference(after))


def holds(learned: Sequence[str], batch_id: str) -> bool:
    """Whether a sorted list has this batch."""
    place = bisect_left(learned, batch_id)
    return place < len(learned) and learned[place] == batch_id
