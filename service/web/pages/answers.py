"""The answers to several rows: a table of the first, and all of them as a CSV file to take away."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from service.contract.figures import shortest
from service.contract.inputs import VectorInput, places_of
from service.contract.names import csv_cell, names_beside
from service.contract.resources import Model
from service.guessing.csv_files.dialect import PLAIN, Dialect, SaidDialect
from service.guessing.csv_files.facts import LABELLED
from service.guessing.unguessable import Unguessable
from service.web.kinds import kind_of
from service.web.kinds.kind import Answered
from service.web.view import View

MOST_ROWS, MOST_BESIDE = 100, 6
"""Rows of the table; columns of the file that it has beside their answers."""


@dataclass(frozen=True)
class Answers:
    """`beside`: names of columns of the file that the model does not look at; `rows`: the first ones, each with its
    number, its cells of these, and the answer; `csv`: the address of all in a file."""

    beside: Sequence[str]
    rows: Sequence[tuple[int, Sequence[str], Sequence[str]]]
    csv: str

    @classmethod
    def of(cls, view: View, model: Model, answered: Answered) -> Answers:
        """The answer to the rows of the file that was sent, or to other ones."""
        show = kind_of(model.target).show
        beside, lines, dialect = _beside(view, model)
        if len(lines) != len(answered.rows):
            beside, lines = [], [()] * len(answered.rows)
        rows = list(enumerate(zip(lines, answered.rows, strict=True)))
        shown = [
            (
                number,
                line[:MOST_BESIDE],
                ["–" if cell is None else cell if isinstance(cell, str) else show(cell) for cell in row],
            )
            for number, (line, row) in rows[:MOST_ROWS]
        ]
        written = ([number, *line, *row] for number, (line, row) in rows)
        names = [name for name, _, _ in answered.heads]
        header = ["row", *names_beside(beside, ["row", *names]), *names]
        return cls(beside[:MOST_BESIDE], shown, _address(header, written, dialect))


def _beside(view: View, model: Model) -> tuple[list[str], Sequence[Sequence[str]], Dialect]:
    """The columns of the file that the model does not look at, their cells row by row, and how it is written; no
    columns of a file that is too large to be kept."""
    written: list[list[str]] = []
    dialect = PLAIN
    if view.head is not None:
        with suppress(Unguessable):
            written, dialect = view.head.lines(SaidDialect.of(view.form))
    if view.head is None or not view.head.whole or not written:
        return [], [], dialect
    header, *lines = written
    names, spec = header, model.input
    if places := places_of(spec):
        aside = {*names} - {*places}
    else:
        width = spec.size if isinstance(spec, VectorInput) else 1
        aside = {*model.leave_out}
        aside |= {*LABELLED} if len({*names} - aside) > width else set()
    others = [place for place, name in enumerate(names) if name in aside]
    return [names[place] for place in others], [[line[place] for place in others] for line in lines], dialect


def _address(names: Sequence[str], rows: Iterable[Sequence[str | float | None]], dialect: Dialect) -> str:
    """The address of a CSV file that holds it, in the dialect of the file that was sent. A mark says that it is UTF-8:
    spreadsheets take it for something else without."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=dialect.delimiter)
    writer.writerow(map(csv_cell, names))
    for row in rows:
        writer.writerow(
            str(shortest(cell)).replace(".", dialect.decimal)
            if isinstance(cell, float)
            else csv_cell("" if cell is None else cell)
            for cell in row
        )
    return "data:text/csv;charset=utf-8," + quote("\ufeff" + written.getvalue(), safe=",;")
