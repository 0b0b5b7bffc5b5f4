"""How a model is asked: rows in, answers out, with the columns beside them that are no inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypedDict, Unpack, overload

from pydantic import RootModel

from service.client.answer_table import (
    Aside,
    Beside,
    ClassAnswers,
    NumberAnswers,
    beside_in,
    beside_rows,
    with_table,
)
from service.client.answers import MOST_CLASSES, Probabilities
from service.client.handle import Handle, given
from service.client.rows.csv_file import CsvFile, check_no_columns, check_no_file, column_beside, csv_file, header_of
from service.client.rows.picture_rows import opened
from service.client.rows.table_rows import is_frame, names_in, split_columns
from service.client.rows.values import Bytes, columns_named, in_a_list, numpy_file
from service.contract.predictions import AnyPredictions, NumberPredictions
from service.guessing.csv_files.dialect import SAYABLE, SaidDialect


class AskOptions(TypedDict, total=False):
    """What may be said of rows, to be predicted or stored.

    source: where they come from; a source whose rows differ has an own head, which answers. leave_out: columns of a CSV
    file, a frame or rows with names that are no inputs, such as a number or name of the row. gaps: what cells of a CSV
    file say where nothing is known, such as "NA". delimiter, decimal: what parts its cells (",", ";" or "tab") and
    what decimals begin with ("," or "."), where its first line and its numbers can be read in two ways. dates:
    "day-first" or "month-first" in such as 3/4/2026, of a frame, too. encoding: how its letters are stored, such as
    "windows-1250", where a guess is wrong.
    """

    source: str | None
    leave_out: str | Sequence[str] | None
    gaps: str | Sequence[str] | None
    delimiter: str | None
    decimal: str | None
    encoding: str | None
    dates: str | None


class Answer(RootModel[AnyPredictions]):
    """An answer to rows, of whichever kind the model is."""


class Asking(Handle):
    """Asks a model. `at` of the handle says which version answers where a call names none."""

    @overload
    async def predict(
        self, inputs: Any, *, top: int, version: int | str | None = None, **options: Unpack[AskOptions]
    ) -> ClassAnswers: ...

    @overload
    async def predict(
        self, inputs: Any, *, level: float, version: int | str | None = None, **options: Unpack[AskOptions]
    ) -> NumberAnswers: ...

    @overload
    async def predict(
        self,
        inputs: Any,
        *,
        top: int | None = None,
        level: float | None = None,
        version: int | str | None = None,
        **options: Unpack[AskOptions],
    ) -> ClassAnswers | NumberAnswers: ...

    async def predict(
        self,
        inputs: Any,
        *,
        top: int | None = None,
        level: float | None = None,
        version: int | str | None = None,
        **options: Unpack[AskOptions],
    ) -> ClassAnswers | NumberAnswers:
        """Predicts n rows by the live version, or by another one, named by its number or alias.

        -> Predictions of a model of classes, with `classes`: `top` lists more than the best class. NumberPredictions of
        a model of numbers, with `values` and `intervals`; `level` is the share of rows to come whose value an interval
        is meant to hold. Rows of numbers, texts or a table may be a CSV file, by its path or as bytes. Many numbers
        travel as bytes, not as JSON. options: `AskOptions`.

        `to_frame()` and `to_csv(path)` of an answer have the columns of a frame or file that are no inputs, such as an
        id, beside it.
        """
        await self._check_size(inputs)
        inputs, _ = opened(in_a_list(inputs))
        at = self._at if version is None else version
        path = f"{self._path if at is None else self._version(at)}/predictions"
        query = given(top=top, level=level, source=options.get("source"))
        said, leave_out = SaidDialect.of(options), columns_named(options.get("leave_out"))
        beside: Callable[[], Beside] = Beside
        file: CsvFile | Bytes | None = csv_file(inputs)
        of_file = given(**{name: options.get(name) for name in ("gaps", *SAYABLE)})
        if isinstance(file, CsvFile):
            query |= {**of_file, **given(leave_out=leave_out or None)}
            aside = await self._aside(file, said, leave_out)
            query |= given(target=aside.target)
            beside = beside_in(file, said, aside.are_inputs)
        elif await self._are_named(inputs, bool(leave_out)):
            check_no_file(**{name: value for name, value in of_file.items() if name != "dates" or not is_frame(inputs)})
            facts, names = await self.facts(), names_in(inputs)
            self._check_left_out(leave_out, facts)
            known = () if is_frame(inputs) else [name for name in facts.called if name in names]
            left_out = [*dict.fromkeys([*leave_out, *await self._left_out(names, leave_out), *known])]
            aside = Aside(facts, left_out)
            beside = partial(beside_rows, inputs, [name for name in names if not aside.is_input(name)])
            inputs = split_columns(inputs, None, None, None, None, left_out)[0] if left_out else inputs
            inputs = await self._by_name(inputs, learns=False)
        else:
            check_no_file(**of_file)
            check_no_columns(leave_out=leave_out or None)
        if file is None and (array := await self._array(inputs)) is not None:
            file = await self._transport.aside(partial(numpy_file, array))
        if file is not None:
            answer = (await self._transport.call("POST", path, Answer, file, **query)).root
        else:
            body = given(inputs=await self._rows(inputs, said.dates), **query)
            answer = (await self._transport.call("POST", path, Answer, body)).root
        called = (await self.facts()).called if isinstance(answer, NumberPredictions) else ()
        return with_table(answer, called, beside)

    async def _aside(self, file: CsvFile, said: SaidDialect, leave_out: Sequence[str]) -> Aside:
        """Which columns of a file of rows to be predicted are no inputs."""
        facts = await self.facts()
        if facts.columns:
            return Aside(facts)
        names, target = header_of(file, said), None
        left_out = [*leave_out, *await self._left_out(names, leave_out)]
        if len(names) - len(left_out) == (facts.size or 1) + 1:
            known = (left_out, facts.size is None, (await self.info()).classes, facts.called)
            target = await self._transport.aside(partial(column_beside, file, said, *known))
        return Aside(facts, left_out, target)

    async def predict_proba(
        self, inputs: Any, *, version: int | str | None = None, **options: Unpack[AskOptions]
    ) -> Probabilities:
        """The probability of each class, [n, classes], as an array with the names of its columns. Of models of classes
        alone."""
        return Probabilities.of(await self.predict(inputs, top=MOST_CLASSES, version=version, **options))
