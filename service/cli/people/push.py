"""`tsuika push MODEL FILE`: sends rows with their labels, waits while they are learned, and says what came of it.

The labels are looked at before anything is sent: one that is no class is refused with its line and what may be meant.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from service.cli.connection import connected, in_options
from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile, quoted
from service.cli.files.labels import Count, LabelCounts, count_labels, named_classes, new_labels
from service.cli.files.readers import open_file
from service.cli.files.rows import Columns, annotations_of, columns_of, facts_of, inputs_of, only_numbers
from service.cli.files.sizes import check_size
from service.cli.look.models import takes
from service.cli.names import ModelName, check_name
from service.cli.options import (
    ASK,
    Dates,
    Decimal,
    Delimiter,
    Encoding,
    Expect,
    Gaps,
    Json,
    LeaveOut,
    Method,
    NamesClasses,
    check_left_out,
    written,
)
from service.cli.output import comma_separated, plain, word
from service.cli.progress import learning
from service.cli.verdicts import print_update
from service.contract.inputs import gap_words_of
from service.guessing.column_facts import REFUSED_WORDS
from service.guessing.csv_files.dialect import SaidDialect

if TYPE_CHECKING:
    from service.client import RemoteModel
    from service.contract.resources import FieldProblem, Model, Update

    Look = Callable[[Update], None]
Command = NamesClasses


def run(
    model: ModelName,
    path: Annotated[
        Path, Argument(metavar="FILE", help="CSV, JSON lines, npz, Parquet; pictures in a folder or zip of classes.")
    ],
    new_classes: Annotated[
        str | None, Option(metavar="[A,B]", help="Labels that are new classes, with commas; alone: list them and ask.")
    ] = None,
    label: Annotated[str | None, Option(metavar="COLUMN", help="The column of labels or targets.")] = None,
    group: Annotated[
        str | None, Option(metavar="COLUMN", help="What rows belong to that stay together: a patient, a video.")
    ] = None,
    source: Annotated[
        str | None,
        Option(metavar="TEXT", help="Where rows come from; where sources differ, each has its own head."),
    ] = None,
    leave_out: LeaveOut = None,
    gaps: Gaps = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    dates: Dates = None,
    method: Method = None,
    expect: Expect = None,
    as_json: Json = False,
) -> int:
    """Sends rows with their labels, waits while they are learned and judged, and says what came of it.

    Exit code 0: live, 3: rejected, 4: held, 2: the file is wrong and nothing was sent.
    """
    check_left_out(leave_out, label=label, group=group)
    how = written(delimiter, decimal, encoding, dates)
    check_size(path)
    file = open_file(path, leave_out, gaps, SaidDialect.of(how))
    with connected() as client:
        remote = client.model(model)
        info = _known(remote, path)
        file = file.without((), gap_words_of(info.input))
        columns = columns_of(file, info, label, group, learns=True)
        if columns.label is None:
            raise WrongUsage(f"{file.name}: {_which(file, info)}{_candidates(file, info)}")
        counts = count_labels(file, columns.label)
        new = _new_classes(file, columns.label, counts, info, new_classes)
        typer.echo(_found(file, columns, counts, info), err=True)
        options: dict[str, Any] = {
            "source": source,
            "method": method,
            "expect": expect,
            "new_classes": "allow" if new else None,
        }
        file_options: dict[str, Any] = {}
        if file.is_csv:
            file_options = {"leave_out": leave_out, "gaps": gaps, **how}
        if new:
            typer.echo(plain(f"New classes: {_listed(new)}"), err=True)
        with learning(counts.rows) as show, _interruptible(model) as ordered:
            options |= {"on_progress": ordered(show), "wait": math.inf}
            update = _send(remote, file, columns, info, **options, **file_options)
    return print_update("push", update, as_json, file, columns.dialect.sentence)


@contextmanager
def _interruptible(model: str) -> Iterator[Callable[[Look], Look]]:
    """Says what CTRL+C leaves: nothing, or an update that goes on. Wraps the function that is called with each look."""
    looks: list[str] = []

    def ordered(show: Look) -> Look:
        def look(update: Update) -> None:
            looks.append(update.id)
            show(update)

        return look

    try:
        yield ordered
    except KeyboardInterrupt:
        unknown = f"No answer came yet: tsuika updates {model} says whether the rows arrived."
        goes_on = f"{looks[-1]} goes on: tsuika watch {model}" if looks else unknown
        typer.echo(f"\n{goes_on}", err=True)
        raise


def _known(remote: RemoteModel, path: Path) -> Model:
    """The model. Raises ClientError that says how to make it where there is none, and WrongUsage where there can be
    none."""
    from service.client import NotFound
    from service.client.errors import ClientError

    try:
        return remote.info()
    except NotFound as missing:
        check_name(remote.name)
        archived = (missing.problem.model_extra or {}).get("archived")
        which, name = ("another one", "NAME") if archived else ("it", remote.name)
        made = f"Make {which} for this file: tsuika init {name} {word(str(path))}"
        raise ClientError(f"{missing.detail} {made}") from missing


def _send(remote: RemoteModel, file: DataFile, columns: Columns, info: Model, **options: Any) -> Update:
    """A CSV file goes as it is, while it is read; other rows are read first.

    Raises WrongUsage for a row that the service refuses.
    """
    from service.client import InvalidContent

    try:
        return _sent(remote, file, columns, info, **options)
    except InvalidContent as refused:
        sentence = in_options(str(refused)).removeprefix(f"{file.name}: ")
        raise WrongUsage(f"{_refused(file, refused.errors)}: {sentence} Nothing was stored.") from refused


def _refused(file: DataFile, errors: Sequence[FieldProblem]) -> str:
    """What was refused: the picture, whose number in a folder nobody knows, or the file."""
    row = re.match(r"/inputs/(\d+)", errors[0].pointer) if errors and file.unit == "picture" else None
    record = next(islice(file.records(), int(row[1]), None), None) if row is not None else None
    return file.name if record is None else file.name_at(record.place)


def _sent(remote: RemoteModel, file: DataFile, columns: Columns, info: Model, **options: Any) -> Update:
    assert columns.label is not None
    if file.is_csv and info.input.kind != "image":
        return remote.update(file.path, target=columns.label, group=columns.group, **options)
    numbers = info.target.measured
    groups = None if columns.group is None else annotations_of(file, columns.group, numbers=False)
    rows = list(inputs_of(file, columns, info.input))
    return remote.update(rows, annotations_of(file, columns.label, numbers), groups=groups, **options)


def _new_classes(file: DataFile, label: str, counts: LabelCounts, info: Model, asked: str | None) -> dict[str, Count]:
    """The labels that shall become classes. Raises WrongUsage for those that nobody meant."""
    if not info.target.has_classes:
        return {}
    if file.is_csv and (word := next((name for name in counts.counts if name in REFUSED_WORDS), None)) is not None:
        sentence = f"{word} is not taken as a label. Where nothing is known leave the cell empty, or say --gaps {word}"
        raise file.wrong(counts.counts[word].place, sentence)
    if asked != ASK:
        return new_labels(file, label, counts, info.classes, named_classes(asked), info.name)
    new = new_labels(file, label, counts, info.classes, list(counts.counts), info.name)
    if new and not sys.stdin.isatty():
        raise WrongUsage(
            f"{file.name}: name the new classes, so that no slip becomes one: --new-classes={comma_separated(new)}"
        )
    if new and not typer.confirm(f"New classes: {_listed(new)}. Add them?", err=True):
        raise WrongUsage("Nothing was sent.")
    return new


def _found(file: DataFile, columns: Columns, counts: LabelCounts, info: Model) -> str:
    """What was found in the file, in a line."""
    noun = info.target.noun
    said = f'{file.name}: {counts.rows:,} rows, {takes(info)}, {noun}s in "{columns.label}".'
    return plain(" ".join(filter(None, [said, columns.dialect.sentence, counts.without_label(file, noun)])))


def _which(file: DataFile, info: Model) -> str:
    """The question for the column of labels; what is missing, where the model knows its name."""
    missing = [name for name in info.target.named if name not in file.columns]
    if not missing and file.unit == "picture":
        return "these pictures stand in no folder. Each stands in that of its class."
    if not missing:
        return "which column is the label? Say it with --label COLUMN."
    from service.intake.near import near_matches

    near = near_matches(missing, [name for name in file.columns if name not in info.leave_out])
    meant = "".join(f' Is "{likes[0]}" meant as "{name}"?' for name, likes in near.items() if likes)
    return (
        f"{quoted(missing)} {'is' if len(missing) == 1 else 'are'} missing, which {info.name} predicts.{meant} "
        "If another column holds it, say --label COLUMN."
    )


def _candidates(file: DataFile, info: Model) -> str:
    """The columns of which one may be the label, in a sentence."""
    known = [*getattr(info.input, "places", ())]
    others = [name for name in file.columns if name not in known and name not in info.leave_out]
    unknown = f" {info.name} does not know {quoted(others)}." if known and others else ""
    several = ""
    if unknown and len(others) > 1:
        several = f" {only_numbers(facts_of(file, others)) or 'One that only numbers rows: --leave-out COLUMN.'}"
    made = f" Or make it anew: tsuika init {info.name} {word(str(file.path))} --replace"
    return unknown + several + (made if info.live_version is None else "")


def _listed(new: dict[str, Count]) -> str:
    return ", ".join(f"{name} ({count.rows:,} row{'s'[: count.rows != 1]})" for name, count in new.items())
