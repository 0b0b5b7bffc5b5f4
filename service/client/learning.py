"""The calls that teach a model: learn, store, correct, take back, merge."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack
from urllib.parse import quote

from service.client.asking import AskOptions
from service.client.errors import ClientError, Conflict, NotFound, Refused, UnknownLabels
from service.client.handle import Facts, Handle, given
from service.client.result import Result
from service.client.rows.csv_file import check_in_file, check_no_columns, check_no_file, csv_file, header_of
from service.client.rows.guess import guess
from service.client.rows.picture_rows import opened
from service.client.rows.table_rows import is_frame, name_columns, names_in, split_columns, whole
from service.client.rows.values import (
    Bytes,
    are_numbers,
    columns_named,
    in_a_list,
    labels_in_a_list,
    plain_labels,
    plain_targets,
    rows_file,
    several,
)
from service.client.waiting import OnProgress, bar, until_final
from service.contract.enums import RAW, NewClasses, NewValues
from service.contract.resources import Batch, Classes, Model, Page, Update
from service.guessing.class_counts import likely_slips
from service.guessing.csv_files.dialect import SAYABLE, SaidDialect
from service.guessing.label_column import label_column


class RowOptions(AskOptions, total=False):
    """What may be said of rows that are stored.

    target, group: of a CSV file, a frame or rows with names, the column of the labels or targets (or of each of
    several), and that of the groups. groups: what rows belong to that must not be learned from and judged by at once (a
    patient, a video, a document): n names, None for a row in none, or one name for all. new_classes: "allow" adds all
    labels that the model does not know, a list of names these alone. new_values: "refuse" refuses values of a category
    that no batch of the model has had, "take" takes them. again: count the same content and source a second time.
    """

    target: str | Sequence[str] | None
    group: str | None
    groups: Any
    new_classes: NewClasses | str | Sequence[str] | None
    new_values: NewValues | str | None
    again: bool | None


class UpdateOptions(RowOptions, total=False):
    """What may be said of an update. method: a name, or {"name": ..., parameter: ...}. expect: "relabel" says that
    labels of known inputs change on purpose, "move" that numbers do; it needs a key with the scope promote."""

    method: str | dict[str, Any] | None
    expect: str | None
    seed: int | None
    device: str | None


class Learning(Handle):
    """The calls that teach a model."""

    async def push(
        self,
        inputs: Any = None,
        labels: Any = None,
        *,
        predicts: Literal["class", "number"] | None = None,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
        **options: Unpack[UpdateOptions],
    ) -> Result:
        """Learn from rows, and say what became of it. The model is made at the first push; what was guessed of it is
        printed once, to stderr.

        inputs: n rows as lists, arrays or tensors; images as arrays [n, c, h, w], of PIL, or the bytes or paths of PNG
        or JPEG files, or the path of a folder or zip file that has a folder of them for each class; texts; of a table
        dicts, named tuples, rows of a database, a frame of pandas or polars, or the path of a CSV file. labels: n
        names, None where nobody knows; n numbers, or n lists of them, where numbers are predicted; left out where a
        column or the names of folders hold them. predicts: what the new model predicts, where labels are whole numbers
        that may be either. options: `UpdateOptions`.

        Waits until the update is final, at most `wait` seconds, with a bar on a terminal or in a notebook, or by
        `on_progress`, which is called with each look at it; with `wait=None` the result is that of a queued update.

        Raises UnknownLabels for labels that the model does not know (`new_classes="allow"` adds them), MissingColumns,
        InvalidContent, StillRunning. What the gate rejects is no error: `raise_if_rejected()` makes it one.
        """
        _check_options(options)
        _check_names(options.get("new_classes"))
        await self._check_size(inputs)
        inputs, labels = opened(in_a_list(inputs), labels_in_a_list(labels))
        made = await self._made(inputs, labels, predicts, options)
        if labels is None and options.get("target") is None and inputs is not None:
            options = {**options, "target": await self._label_column(inputs, options)}
        try:
            with bar(self.name) as look:
                body, query = await self._sent(inputs, labels, {**options})
                update = await self._ordered("updates", body, wait, on_progress or look, **query)
        except (Refused, ValueError) as refused:
            if made and await self._unmade():
                refused.add_note(f"Nothing was stored, and the new model {self.name} was not kept.")
            raise
        return self._result(update)

    async def update(
        self,
        inputs: Any = None,
        labels: Any = None,
        *,
        batches: Sequence[str] | str | None = None,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
        **options: Unpack[UpdateOptions],
    ) -> Update:
        """Learn from rows, as `push` takes them, from stored batches (ids) or from everything that waits ("pending").

        The model is there already, and a file or frame holds labels only in the column that `target` names, or that is
        called target or label. Returns the update once it is final, with verdict and report; with `wait=None` at once,
        queued. Raises as `push`.
        """
        await self._check_size(inputs)
        stored = batches if batches is None or isinstance(batches, str) else list(batches)
        body, query = await self._sent(inputs, labels, {**options, "batches": stored})
        return await self._ordered("updates", body, wait, on_progress, **query)

    async def add_batch(self, inputs: Any, labels: Any = None, **options: Unpack[RowOptions]) -> Batch:
        """Store rows without learning them yet; rows whose label is None are no class's. All as of `update`."""
        await self._check_size(inputs)
        body, query = await self._sent(inputs, labels, {**options})
        return await self._transport.call("POST", f"{self._path}/batches", Batch, body, **query)

    async def declare(self, *names: str) -> list[str]:
        """Add classes to the vocabulary before any rows of them. -> the vocabulary"""
        return (await self._transport.call("POST", f"{self._path}/classes", Classes, {"names": names})).classes

    async def delete_class(self, name: str, reason: str = "") -> None:
        """Take a name out of the vocabulary: rows with that label are refused again. Raises NotFound, and Conflict
        while a batch that is not taken back has such rows."""
        await self._transport.send("DELETE", f"{self._path}/classes/{quote(name, safe='')}", reason=reason or None)

    async def retract(
        self,
        batches: Sequence[str] | str,
        reason: str = "",
        *,
        erase: bool = False,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Update:
        """Take batches back out of what is served; the report holds the certificate."""
        ids = [batches] if isinstance(batches, str) else list(batches)
        body = {"batches": ids, "reason": reason, "erase": erase}
        return await self._ordered("retractions", body, wait, on_progress)

    async def erase(self, batches: Sequence[str] | str, reason: str = "", *, wait: float | None = 600.0) -> Update:
        """Retract, then delete the rows and everything that was made of them."""
        return await self.retract(batches, reason, erase=True, wait=wait)

    async def correct(
        self,
        batch: str,
        rows: Mapping[int, str | float | bool | Sequence[float] | None],
        reason: str = "",
        *,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Update:
        """Give rows of a batch other labels or targets, by their numbers, or take them out (None): one version is
        without the batch and with the corrected one."""
        right = dict(zip(map(str, rows), plain_targets(list(rows.values())), strict=True))
        path = f"batches/{quote(batch, safe='')}/corrections"
        return await self._ordered(path, {"rows": right, "reason": reason}, wait, on_progress)

    async def merge(
        self,
        ledger: bytes | str | os.PathLike[str],
        reason: str = "",
        *,
        new_classes: NewClasses | str | Sequence[str] | None = None,
        source: str | None = None,
        if_live: int | None = None,
        wait: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> Update:
        """Learn from the ledger of another service, by its path or as bytes: sums of rows that are not here.

        They are a batch (`update.batches`), which `retract` takes back. Raises Conflict where they are of another
        feature space, or hold rows that count already; UnknownLabels as `update`.
        """
        data = ledger if isinstance(ledger, bytes) else Path(ledger).read_bytes()
        query = given(reason=reason or None, new_classes=await self._meant(new_classes), source=source, if_live=if_live)
        return await self._ordered("merges", Bytes(data, RAW), wait, on_progress, **query)

    async def _made(self, inputs: Any, labels: Any, predicts: str | None, options: UpdateOptions) -> bool:
        """Makes the model where there is none, as its first rows say. -> whether it was made"""
        if self._facts is not None or inputs is None:
            return False
        try:
            await self.info()
            return False
        except NotFound as missing:
            if type(missing) is not NotFound:  # erased, and its name stays taken
                raise
        if csv_file(inputs) is None and not name_columns(inputs):
            check_no_columns(**given(**{name: options.get(name) for name in ("target", "group", "leave_out")}))
        leave_out = [*columns_named(options.get("group")), *columns_named(options.get("leave_out"))]
        say = (columns_named(options.get("target")), leave_out, several(options.get("gaps")), SaidDialect.of(options))
        guessed = await self._transport.aside(partial(guess, inputs, labels, *say, predicts))
        if labels is None and not guessed.columns and csv_file(inputs) is None:
            raise ValueError(
                "Which labels or numbers belong to these rows? Give them, too: push(rows, labels). Rows that name "
                'their cells, as dicts and frames do, may hold them: target="...".'
            )
        named = options.get("new_classes")
        meant = guessed.classes if named == "allow" else several(named)
        if near := {name: like for name, like in likely_slips(guessed.classes).items() if name not in meant}:
            raise UnknownLabels.likely_slips(near, guessed.slips)
        out = given(leave_out=[*columns_named(options.get("leave_out"))] or None)
        body = {"name": self.name, "input": guessed.input, **guessed.settings, **out}
        try:
            made = await self._transport.call("POST", "/v1/models", Model, body)
        except Conflict:  # somebody else made it meanwhile
            await self.info()
            return False
        self._facts = Facts.of(made)
        if guessed.gaps and made.input.kind != "table" and csv_file(inputs) is not None:
            options["gaps"] = guessed.gaps  # a table remembers them
        print(f"New model {self.name}: {guessed.sentence} {guessed.otherwise}", file=sys.stderr)
        return True

    async def _unmade(self) -> bool:
        """Archives a model that was just made for rows that were refused: its name is free again. -> whether it did;
        not where somebody else has sent it rows meanwhile, or where this key may not."""
        self._facts = None
        try:
            if (await self._transport.call("GET", f"{self._path}/batches", Page[Batch], limit=1)).items:
                return False
            await self._transport.send("DELETE", self._path)
        except ClientError:
            return False
        return True

    async def _label_column(self, inputs: Any, options: UpdateOptions) -> str | Sequence[str] | None:
        """The column of a file, a frame or rows that name their cells that holds labels or targets; None where a file
        says so itself, and where there is none."""
        file = csv_file(inputs)
        if file is None and not name_columns(inputs):
            return None
        names = header_of(file, SaidDialect.of(options)) if file is not None else names_in(inputs)
        others = [*columns_named(options.get("group")), *columns_named(options.get("leave_out"))]
        try:
            facts = await self.facts()
            others += await self._left_out(names, others)
        except NotFound:
            return label_column([name for name in names if name not in others])
        names = [name for name in names if name not in others]
        return facts.called if facts.called and {*facts.called} <= {*names} else label_column(names, facts.columns)

    async def _sent(self, inputs: Any, labels: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The body that brings rows, and the query beside it. Raises ValueError where both say the same."""
        inputs, labels = opened(in_a_list(inputs), labels_in_a_list(labels))
        rest = given(**{**options, "new_classes": await self._meant(options.get("new_classes"))})
        target, group, groups, method = (rest.pop(name, None) for name in ("target", "group", "groups", "method"))
        of_file = {name: rest.pop(name, None) for name in ("gaps", *SAYABLE)}
        leave_out = columns_named(rest.pop("leave_out", None))
        if (file := csv_file(inputs)) is not None:
            check_in_file(labels=labels, groups=groups, batches=rest.get("batches"))
            named = method if method is None or isinstance(method, str) else json.dumps(method)
            columns = given(target=target, group=group, leave_out=leave_out or None, **of_file)
            return file, {**rest, **columns, **given(method=named)}
        order = SaidDialect.of(of_file).dates if is_frame(inputs) else None
        check_no_file(**{name: value for name, value in of_file.items() if name != "dates" or order is None})
        columns = given(target=target, group=group, leave_out=leave_out or None)
        if await self._are_named(inputs, bool(columns)):
            said = [*columns_named(target), *columns_named(group), *leave_out]
            self._check_left_out(leave_out, await self.facts())
            leave_out = (*leave_out, *await self._left_out(names_in(inputs), said))
            if columns or leave_out:
                inputs, labels, groups = split_columns(inputs, labels, groups, target, group, leave_out)
        else:
            check_no_columns(**columns)
        chosen = {"name": method} if isinstance(method, str) else method
        inputs = await self._by_name(inputs, learns=True)
        members = given(**await self._annotated(labels), groups=plain_labels(groups), method=chosen) | rest
        if (array := await self._array(inputs)) is not None:
            return await self._transport.aside(partial(rows_file, array, members)), {}
        return {**given(inputs=await self._rows(inputs, order)), **members}, {}

    async def _annotated(self, labels: Any) -> dict[str, Any]:
        """Labels; or targets where the model predicts numbers, as the service says once of what may be either."""
        named = plain_labels(labels)
        if (are_numbers(named) or self._facts is not None) and (await self.facts()).predicts == "number":
            return {"targets": plain_targets(named)}
        return {"labels": [whole(label) for label in named] if are_numbers(named) else named}

    async def _meant(self, new_classes: NewClasses | str | Sequence[str] | None) -> str | None:
        """A word as it is. Names are declared, but for those of a first batch, which brings its classes."""
        _check_names(new_classes)
        if new_classes is None or isinstance(new_classes, str):
            return new_classes
        if (await self.info()).classes:
            await self.declare(*new_classes)
        return None

    async def _ordered(
        self, what: str, body: Any, wait: float | None, on_progress: OnProgress | None, **query: Any
    ) -> Update:
        at_once = None if wait is None else 0.0 if on_progress else min(wait, 30.0)
        update = await self._transport.call("POST", f"{self._path}/{what}", Update, body, wait=at_once, **query)
        return update if wait is None else await until_final(self._transport, update, wait, on_progress)


def _check_options(options: Mapping[str, Any]) -> None:
    """Raises TypeError for an option that there is none of, before a model is made."""
    if unknown := sorted({*options} - UpdateOptions.__optional_keys__):
        raise TypeError(
            f'There is no option {unknown[0]}. target="COLUMN" names the column of the labels or targets; the others '
            f"are {', '.join(sorted(UpdateOptions.__optional_keys__ - {'target'}))}."
        )


def _check_names(new_classes: Any) -> None:
    """Raises ValueError for what is neither a word nor names, such as True."""
    if new_classes is not None and not isinstance(new_classes, Iterable):
        raise ValueError(
            f'new_classes={new_classes!r} names no class. "allow" takes all labels that are new, and '
            'new_classes=["8", "9"] these alone.'
        )
