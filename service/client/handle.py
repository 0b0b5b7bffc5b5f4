"""What a handle on a model knows of it, and how it takes rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from service.client.errors import MissingColumns
from service.client.result import Result
from service.client.rows.file_size import MB, check_size, size_of
from service.client.rows.table_rows import (
    are_dicts,
    is_frame,
    name_cells,
    named_rows,
    names_of,
    table_rows,
    with_numbers,
)
from service.client.rows.values import many_numbers, plain
from service.client.transport import Transport
from service.contract.body_limits import Limits
from service.contract.inputs import gap_words_of, places_of
from service.contract.resources import Model, Update
from service.guessing.numbering import lacks_columns, missing_columns, what_is_missing, what_is_too_much

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Facts:
    """What never changes of a model: the kind of its input and of its target, the columns that have names, the size of
    a vector, what the numbers are called that it predicts, which columns are dates or numbers, and its words for
    gaps."""

    takes: str
    predicts: str
    columns: Mapping[str, int]
    size: int | None = None
    called: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    gaps: frozenset[str] = frozenset()

    @classmethod
    def of(cls, model: Model) -> Facts:
        names = {
            kind: tuple(column.name for column in getattr(model.input, "columns", ()) if column.kind == kind)
            for kind in ("date", "number")
        }
        return cls(
            model.input.kind,
            model.target.kind,
            places_of(model.input),
            getattr(model.input, "size", None),
            tuple(getattr(model.target, "names", None) or ()),
            names["date"],
            names["number"],
            gap_words_of(model.input),
        )


class Handle:
    """Holds the name of a model, and asks the service each time, but for what never changes. `at`: the version that it
    is pinned to, None for the live one."""

    def __init__(
        self, transport: Transport, name: str, facts: Facts | None = None, at: int | str | None = None
    ) -> None:
        self.name = name
        self._transport = transport
        self._facts, self._at = facts, at
        self._path = f"/v1/models/{quote(name, safe='')}"

    def __repr__(self) -> str:
        at = "" if self._at is None else f"@{self._at}"
        return f"{type(self).__name__}({f'{self.name}{at}'!r} at {self._transport.url})"

    async def info(self) -> Model:
        """The model as it is now: live version, vocabulary, what is pending."""
        model = await self._transport.call("GET", self._path, Model)
        self._facts = Facts.of(model)
        return model

    async def facts(self) -> Facts:
        """What never changes of it; asked for once."""
        if self._facts is None:
            await self.info()
        assert self._facts is not None
        return self._facts

    async def _check_size(self, inputs: Any) -> None:
        """Raises TooLarge for a file, or a folder of them, that is larger than a request may be."""
        if (size := size_of(inputs)) >= MB:
            limits = (await self._transport.call("GET", "/v1/limits", Limits)).items
            most = next((limit.value for limit in limits if limit.name == "body"), None)
            check_size(inputs, size, most)

    def _pinned(self, version: int | str | None) -> int | str:
        """The version that is asked: the live one where neither the call nor the handle names one."""
        return version if version is not None else self._at if self._at is not None else "live"

    def _version(self, version: int | str) -> str:
        return f"{self._path}/versions/{quote(str(version), safe='')}"

    def _result(self, update: Update) -> Result:
        return Result(update, f"{self._transport.url}/models/{quote(self.name, safe='')}")

    async def _left_out(self, names: Sequence[str], others: Sequence[str]) -> list[str]:
        """Those of the columns of a file or frame, beside `others`, that the model leaves out. It is asked each time
        where they are more than its inputs, since that may change."""
        facts = await self.facts()
        free = [name for name in names if name not in others and name not in facts.columns]
        if len(free) <= (0 if facts.columns else facts.size or 1):
            return []
        remembered = (await self.info()).leave_out
        return [name for name in free if name in remembered]

    def _check_left_out(self, leave_out: Sequence[str], facts: Facts) -> None:
        """Raises ValueError where a column is to be left out that the model takes."""
        if taken := [name for name in leave_out if name in facts.columns]:
            raise ValueError(
                f'{self.name} takes the column "{taken[0]}" since its first push, and that is where columns are left '
                f"out. For a model without it, push these rows to one of another name."
            )

    async def _are_named(self, inputs: Any, said: bool) -> bool:
        """Whether columns of rows are meant by their names: those of a frame, and of rows that name their cells where
        something is `said` of one or the model has names for them."""
        return is_frame(inputs) or (name_cells(inputs) and (said or bool((await self.facts()).columns)))

    async def _by_name(self, inputs: Any, learns: bool) -> Any:
        """A frame of numbers with the columns of the model alone, in its order, where these have names. Raises
        MissingColumns, and, of rows to be learned, ValueError for a column that the model lacks."""
        if not is_frame(inputs):
            return inputs
        facts, names = await self.facts(), names_of(inputs)
        self._check_columns([*names], facts)
        if more := [name for name in names if learns and facts.columns and name not in facts.columns]:
            named = ", ".join(f'"{name}"' for name in more)
            raise ValueError(f"{self.name} has no column {named[:1000]}. Leave it out: leave_out={more}.")
        return inputs[[names[name] for name in facts.columns]] if facts.columns and facts.size else inputs

    async def _array(self, inputs: Any) -> NDArray[Any] | None:
        """Rows as one array, where they are many numbers and the model takes them as bytes; else None."""
        array = many_numbers(inputs)
        return array if array is not None and (await self.facts()).takes in ("vector", "image") else None

    async def _rows(self, inputs: Any, order: str | None = None) -> Any:
        """Rows that are no array as JSON. A frame is rows of a table or of numbers, or one column of texts: the service
        says once which the model takes. Columns that the model lacks stay here. order: of day and month in dates of a
        frame, where somebody says it."""
        if name_cells(inputs) and (await self.facts()).columns:
            return await self._of_table(table_rows(named_rows(inputs)))
        if are_dicts(inputs):
            return await self._of_table(table_rows(inputs))
        if not is_frame(inputs):
            return plain(inputs)
        facts = await self.facts()
        if facts.takes != "table":
            return list(inputs[inputs.columns[0]]) if facts.takes == "text" else plain(inputs)
        rows = await self._of_table(table_rows(inputs, facts.dates, order))
        return [{name: row[name] for name in facts.columns if name in row} for row in rows]

    async def _of_table(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same with numbers that are texts as such."""
        if not any(isinstance(cell, str) for row in rows for cell in row.values()):
            return rows
        facts = await self.facts()
        return with_numbers(rows, facts.numbers, facts.gaps)

    def _check_columns(self, names: Sequence[str], facts: Facts) -> None:
        """Raises MissingColumns where a frame lacks columns of the model, or numbered ones of nameless vectors."""
        there = {*names}
        if missing := [name for name in facts.columns if name not in there]:
            has = [name for name in names if name not in facts.columns]
            raise MissingColumns.named(self.name, missing, has, gaps=facts.takes == "table")
        if facts.columns:
            return
        due = facts.size or 1
        if facts.takes in ("vector", "text") and len(names) > due:
            takes = f"{due:,} numbers" if facts.takes == "vector" else "one text"
            raise ValueError(
                f"This frame has {len(names):,} columns, and {self.name} takes {takes} a row. "
                f"{what_is_too_much(names, due)} It has {', '.join(names)[:1000]}."
            )
        missing = missing_columns(names, facts.size) if facts.takes == "vector" and facts.size else []
        if missing or (facts.takes == "vector" and lacks_columns(names, due)):
            takes = f"This frame has {len(names):,} columns, and {self.name} takes {due:,} numbers a row."
            raise MissingColumns(f"{takes} {what_is_missing(names, due)}", missing)


def given(**members: Any) -> dict[str, Any]:
    """A body without the members that the caller left out."""
    return {name: value for name, value in members.items() if value is not None}
