"""A CSV file looked through: its lines as cells, and the facts of each of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise

from service.contract.tables import value_text
from service.guessing.column_facts import FEW, FEWEST_CELLS, GAP_WORDS, MOSTLY, NUMBER, ColumnFacts
from service.guessing.column_names import column_names
from service.guessing.csv_files.dates import order_in
from service.guessing.csv_files.dialect import PLAIN, Dialect, SaidDialect, sign_of, with_decimal, with_order
from service.guessing.csv_files.records import records_of
from service.guessing.full_width import half_width
from service.guessing.unguessable import Unguessable

GROWING = 4
"""So many steps up from number to number are hardly those of a row."""
LABELLED = ("target", "label")
"""What the column of the target or label is called where nobody says it."""


def lines_of(pieces: Iterable[bytes], dialect: Dialect = PLAIN) -> Iterator[list[str]]:
    """The lines of a CSV file as cells without blanks around them, its header first, whose names are as a model has
    them. Raises Unguessable."""
    records = records_of(pieces, dialect)
    for _, cells, _ in islice(records, 1):
        yield [*map(value_text, cells)]
    for _, cells, _ in records:
        yield [cell.strip() for cell in cells]


def by_cells(
    lines: Iterable[Sequence[str | None]],
    dialect: Dialect,
    said: SaidDialect,
    gaps: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> Dialect:
    """The same with the sign of decimals that the columns of numbers have, and with the order of the columns of dates.
    lines: the header first. Raises Unguessable, where columns of numbers have different signs, too."""
    each = iter(lines)
    names = [name or "" for name in next(each, ())]
    signs = _Marks(names, leave_out, lambda cell: _sign(cell, dialect))
    orders = _Marks(names, leave_out, order_in)
    looked_for = [*([] if said.decimal else [signs]), *([orders] if dialect.dates is None else [])]
    for line in each if looked_for else ():
        for place, cell in enumerate(line[: len(names)]):
            if isinstance(cell, str) and cell and cell not in gaps and cell.lower() not in GAP_WORDS:
                for marks in looked_for:
                    marks.add(place, cell)
    dialect = with_order(dialect, orders.all())
    first = {sign: (name, cell) for sign, name, cell in reversed(signs.each())}
    if "," in first and "." in first and not dialect.is_plain:
        (one, comma), (other, point) = first[","], first["."]
        raise Unguessable("two_signs", comma_column=one, comma_cell=comma, point_column=other, point_cell=point)
    return with_decimal(dialect, said, signs.all())


def _sign(cell: str, dialect: Dialect) -> str | None:
    """The sign of decimals, as `sign_of` has it, with the one that may part thousands behind a question mark."""
    sign = sign_of(cell, dialect.delimiter)
    return "?." if sign == "?" and "." in half_width(cell) else sign


class _Marks:
    """What cells of each column show, such as the sign of decimals, with the first cell that shows it. mark_in: of a
    cell; None where it is none of such a column, which counts for nothing where more than a few cells are such."""

    def __init__(self, names: Sequence[str], leave_out: Sequence[str], mark_in: Callable[[str], str | None]) -> None:
        self._names, self._mark_in = names, mark_in
        self._marks: list[dict[str, str] | None] = [None if name in leave_out else {} for name in names]
        self._cells, self._others = [0] * len(names), [dict[str, int]() for _ in names]

    def add(self, place: int, cell: str) -> None:
        """Looks at one more cell of a column."""
        if (marks := self._marks[place]) is None:
            return
        self._cells[place] += 1
        if (mark := self._mark_in(cell)) is not None:
            marks.setdefault(mark, cell)
            return
        others = self._others[place]
        others[cell] = others.get(cell, 0) + 1
        if len(others) > FEW:
            self._marks[place] = None

    def each(self) -> list[tuple[str, str, str]]:
        """-> mark, column, cell"""
        columns = zip(self._names, self._marks, self._cells, self._others, strict=True)
        return [
            (mark, name, cell)
            for name, marks, cells, others in columns
            if not others or (cells >= FEWEST_CELLS and sum(others.values()) < MOSTLY * cells)
            for mark, cell in (marks or {}).items()
        ]

    def all(self) -> list[tuple[str, str]]:
        """-> column, cell"""
        return [(name, cell) for _, name, cell in self.each()]


def are_cells(names: Sequence[str]) -> bool:
    """Whether names are numbers as a row has them, so that there is no header. Columns are called 0, 1, 2 or 2024,
    2025, and many of them by what grows, such as wavelengths."""
    numbers = [float(name) for name in names if NUMBER.fullmatch(name)]
    steps = [second - first for first, second in pairwise(numbers)]
    counted = all(map(float.is_integer, numbers)) and all(step == 1 for step in steps)
    grows = len(steps) >= GROWING and all(step > 0 for step in steps)
    return not (counted or grows) and {*LABELLED}.isdisjoint(names)


def facts_of(
    lines: Iterable[Sequence[str]], gaps: Sequence[str] = (), dialect: Dialect = PLAIN, labels: Sequence[str] = ()
) -> dict[str, ColumnFacts]:
    """What each column holds, by its name in the first line; rows of another length say nothing. gaps: what cells say
    where nothing is known. labels: what somebody says that columns of labels are called. Raises Unguessable."""
    each = iter(lines)
    names = check_names(next(each, ()))
    if len(names) == 1:
        raise Unguessable("one_column", column=names[0])
    facts = {name: ColumnFacts(dialect) for name in names}
    rows = 0
    for line in each:
        rows += 1
        if len(line) == len(names):
            for fact, cell in zip(facts.values(), line, strict=True):
                fact.add(None if not cell or cell in gaps else cell)
    if not rows:
        raise Unguessable("no_row")
    check_header(facts, labels)
    return facts


def check_header(facts: Mapping[str, ColumnFacts], labels: Sequence[str] = ()) -> None:
    """Raises Unguessable where the first line is hardly a header: half of its names are numbers as a row has them, and
    no other is one of the labels that somebody named, or each stands in its column, too."""
    names = {fact.dialect.number(name): name for name, fact in facts.items()}
    numbers = [name for name in names if NUMBER.fullmatch(name)]
    named = any(label in facts and not facts[label].is_number(label) for label in labels)
    if not named and are_cells([*names]) and (2 * len(numbers) >= len(facts) or any("." in name for name in numbers)):
        raise Unguessable("headless", column=names[numbers[0]])
    if all(name in fact.values for name, fact in facts.items()):
        raise Unguessable("headless", column=next(iter(facts)))


def check_names(written: Sequence[str], several: bool = True) -> list[str]:
    """The names of the columns as a model has them. Raises Unguessable for names that are missing or stand twice, and,
    where several are due, for other marks between them."""
    names = [*map(value_text, written)]
    if several and len(names) == 1 and any(mark in names[0] for mark in ",;\t|"):
        raise Unguessable("separator", column=names[0])
    if "" in names:
        place = names.index("")
        if any(names[place:]) or place != 1:
            raise Unguessable("nameless" if any(names[place:]) else "empty_end", place=place + 1)
        raise Unguessable("title", column=names[0])
    return column_names(names, "this CSV file")
