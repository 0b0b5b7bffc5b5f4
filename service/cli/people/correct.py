"""`tsuika correct MODEL BATCH`: gives rows of a batch other labels or targets, or takes them out."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text
from typer import Argument, Option

from service.cli.connection import batches_that_begin, connected, in_options
from service.cli.exits import DONE, WrongUsage
from service.cli.files.corrections import Right, listed, once_each, row_number, typed
from service.cli.files.labels import Count, check_names, named_classes, unknown_labels
from service.cli.names import ModelName
from service.cli.options import Decimal, Delimiter, Encoding, Json, Reason, reason_of, written
from service.cli.output import plain, print_json, print_table, stdout
from service.cli.progress import learning
from service.cli.verdicts import print_update
from service.contract import figures
from service.contract.names import shortened
from service.guessing.csv_files.dialect import SaidDialect

if TYPE_CHECKING:
    from service.client import RemoteModel
    from service.client.waiting import OnProgress
    from service.contract.resources import Batch, Model, Update

NOTHING = "Nothing was changed."


def run(
    model: ModelName,
    batch: Annotated[
        str,
        Argument(
            metavar="BATCH", help="Its id, as `tsuika batches MODEL` lists it.", autocompletion=batches_that_begin
        ),
    ],
    path: Annotated[
        Path | None, Argument(metavar="FILE", help="Rows that are corrected: columns row, from 0, and label.")
    ] = None,
    row: Annotated[
        list[str] | None, Option(metavar="N=LABEL", help="A row, from 0, and what is right; once for each.")
    ] = None,
    take_out: Annotated[list[str] | None, Option(metavar="N", help="A row that is taken out; once for each.")] = None,
    suspects: Annotated[
        bool, Option("--suspects", help="List the rows that look wrong; on a terminal ask which are corrected.")
    ] = False,
    new_classes: Annotated[str | None, Option(metavar="A,B", help="Labels that are new classes, with commas.")] = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    reason: Reason = None,
    yes: Annotated[bool, Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Gives rows of a batch other labels or targets, or takes them out: one version is without the batch and with the
    corrected one. Waits, and says what came of it. On a terminal it asks where that is more than half of the batch, or
    50 rows.

    Exit code 0: live, 3: rejected, 4: held, 2: a row or a label is wrong and nothing was changed.
    """
    if suspects and (path or row or take_out):
        raise WrongUsage("--suspects lists rows, and corrects those that you choose then. Name no others beside it.")
    if not (suspects or path or row or take_out):
        raise WrongUsage(
            "Say which rows: --row 7=cat, --take-out 7, or a file with the columns row and label. --suspects lists "
            "those that look wrong."
        )
    said = SaidDialect.of(written(delimiter, decimal, encoding, None))
    with connected() as client:
        remote = client.model(model)
        info = remote.info()
        if suspects:
            _check_there(remote.batch(batch))
            rights = _chosen(remote, batch, info, as_json)
            if rights is None:
                return DONE
        else:
            of_file = listed(path, said, info.target) if path is not None else ()
            rights = once_each([*typed(row or (), take_out or ()), *of_file])
        new = _new_classes(rights.values(), info, named_classes(new_classes))
        why = reason_of(reason)
        known = remote.batch(batch)
        _check(known, rights)
        change = "" if yes or not sys.stdin.isatty() else _most(known, rights)
        if change and not typer.confirm(f"{change} Correct them?", err=True):
            raise WrongUsage(NOTHING)
        if new and known.retracted_at is None:  # the service says of one that was taken back where its rows are
            remote.declare(*new)
        with learning(None) as show:
            update = _correct(remote, batch, rights, info, why, show)
    return print_update("correct", update, as_json)


def _check_there(batch: Batch) -> None:
    """Before rows are listed that nobody can correct. Raises WrongUsage with the way on."""
    if batch.retracted_at is None:
        return
    if (new := batch.corrected_by) is not None:
        raise WrongUsage(
            f"Batch {batch.id} was corrected already: batch {new} has its rows. Correct that one: "
            f"tsuika correct {batch.model} {new} --suspects"
        )
    raise WrongUsage(
        f"Batch {batch.id} was taken back already. Send the corrected rows as a new batch: "
        f"tsuika push {batch.model} FILE"
    )


def _check(batch: Batch, rights: Mapping[int, Right]) -> None:
    """Before a class is declared. Raises WrongUsage for rows that the batch does not have."""
    last = batch.rows - 1
    if wrong := next((said for row, said in rights.items() if row > last), None):
        at = f"{wrong.place}: " if wrong.place else ""
        row = figures.row_number(wrong.row)
        raise WrongUsage(f"{at}Row {row} of the batch is not there: {batch.id} has rows 0 to {last}. {NOTHING}")


def _most(batch: Batch, rights: Mapping[int, Right]) -> str:
    """What is changed, where that is so much of a batch that somebody is asked first; else ""."""
    if not batch.is_mostly(len(rights)):
        return ""
    counts = Counter("taken out" if right.text is None else right.text for right in rights.values())
    what = shortened([f"{plain(name)} ({rows:,})" for name, rows in counts.most_common()], 10)
    return f"This changes {len(rights):,} of the {batch.rows:,} rows of {batch.id}: {what}."


def _correct(
    remote: RemoteModel,
    batch: str,
    rights: Mapping[int, Right],
    info: Model,
    reason: str,
    show: OnProgress,
) -> Update:
    """Raises WrongUsage, with the line of a file, for a row that cannot be what is said of it."""
    from service.client import InvalidContent, TooLarge
    from service.client.kinds import kind_of

    kind = kind_of(info.target)
    right = {row: None if said.text is None else kind.read(said.text) for row, said in rights.items()}
    try:
        return remote.correct(batch, right, reason, wait=math.inf, on_progress=show)
    except TooLarge:
        raise WrongUsage(
            f"{len(right):,} rows are more than one correction may bring: correct a part of them, and the others then "
            f"in the batch that it makes (tsuika batches {info.name}). {NOTHING}"
        ) from None
    except InvalidContent as refused:
        rows = (pointer.split("/")[2] for e in refused.errors if (pointer := e.pointer).startswith("/rows/"))
        place = next((said.place for row in rows if (said := rights.get(int(row))) is not None), "")
        raise WrongUsage(f"{place}{': ' if place else ''}{in_options(str(refused))} {NOTHING}") from refused


def _new_classes(rights: Iterable[Right], info: Model, named: list[str]) -> list[str]:
    """The labels that become classes: those that are named. Raises WrongUsage for any other that is none."""
    unknown: dict[str, Count] = {}
    for right in rights if info.target.has_classes else ():
        if right.text is not None and right.text not in info.classes:
            unknown.setdefault(right.text, Count(0, right.place or f"row {right.row}")).rows += 1
    check_names(str, unknown, NOTHING)
    if strange := {name: count for name, count in unknown.items() if name not in named}:
        meant = [name for name in unknown if name in named]
        raise WrongUsage(unknown_labels(str, info.target.noun, strange, info.classes, info.name, meant))
    return [*unknown]


def _chosen(remote: RemoteModel, batch: str, info: Model, as_json: bool) -> dict[int, Right] | None:
    """Lists the rows that look wrong. -> those that somebody chooses, with what is suggested; None where nobody is
    asked. Raises WrongUsage where none is chosen."""
    from service.client.kinds import kind_of

    found = remote.suspects(batch)
    if as_json:
        items = [row.model_dump(mode="json") for row in found]
        members = {"model": info.name, "batch": batch, "version": found.version, "note": found.note, "items": items}
        print_json("suspects", members)
        return None
    table = kind_of(info.target).listed(found.rows)
    if table.cells:
        stdout().print(table.heading)
        print_table(stdout(), table.columns[1:], [cells[1:] for cells in table.cells], table.numbers)
    else:
        stdout().print(plain(f"No row of {batch} looks wrong."))
    stdout().print(Text(plain(in_options(found.note)), style="dim"))
    suggested = {row.row: text for row in found if (text := kind_of(info.target).suggested(row)) is not None}
    if not suggested or not sys.stdin.isatty():
        what = info.target.noun.upper()
        way = f"Correct a row: tsuika correct {info.name} {batch} --row N={what}   Take one out: --take-out N"
        stdout().print(Text(way, style="dim"))
        return None
    question = "Which of these rows are what is suggested? Numbers with commas, or all"
    answer = typer.prompt(question, default="none", err=True).strip()
    if answer == "none":
        raise WrongUsage(NOTHING)
    rows = [*suggested] if answer == "all" else [row_number(part.strip(), "Rows") for part in answer.split(",")]
    if other := [row for row in rows if row not in suggested]:
        raise WrongUsage(f"Row {other[0]} is none of those. {NOTHING} Say what it is: --row {other[0]}=LABEL.")
    return {row: Right(row, suggested[row]) for row in rows}
