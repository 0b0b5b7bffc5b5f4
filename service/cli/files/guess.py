"""What model a file is for: its inputs, its target and its classes, guessed from all of its rows and said in sentences.

A guess is a body of `POST /v1/models`, to be looked at before it is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile, quoted
from service.cli.files.labels import MOST_CLASSES, LabelCounts, count_labels
from service.client.guess import DIFFERENT, FEWEST_NUMBERS, LABELS, NOTHING
from service.client.table_rows import MANY_VALUES

TEXT_CHARACTERS = 20
"""Cells of a text have so many characters on average."""
MOST_VALUES = 2000
"""All categories of a model together have so many values, but for those of many values."""
WIDEST_TABLE = 222
"""Number columns that a table has room for with all of their pieces."""
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""A number; one that begins with 0, such as 0123, is a postcode or the like."""
DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ](\d\d):\d\d.*)?", re.ASCII)
NUMBERED = re.compile(r"(.*?)[0-9]+")


@dataclass
class ColumnFacts:
    """What the cells of a column are: each flag holds for all that are not empty."""

    numbers: bool = True
    booleans: bool = True
    dates: bool = True
    clock: bool = False
    fractions: bool = False
    cells: int = 0
    gaps: int = 0
    characters: int = 0
    values: set[str] = field(default_factory=set)

    def add(self, cell: Any) -> None:
        """Looks at one more cell."""
        text = "" if cell is None else str(cell)
        if cell is None or text.lower() in NOTHING:
            self.gaps += 1
            return
        self.cells += 1
        self.characters += len(text)
        if len(self.values) <= MOST_VALUES:
            self.values.add(text)
        typed = isinstance(cell, int | float) and not isinstance(cell, bool)
        self.numbers = self.numbers and (typed or NUMBER.fullmatch(text) is not None)
        self.booleans = self.booleans and text.lower() in ("true", "false")
        date = DATE.fullmatch(text) if self.dates else None
        self.dates = date is not None
        self.clock = self.clock or (date is not None and date[1] is not None)
        self.fractions = self.fractions or (self.numbers and not float(text).is_integer())

    def column(self, name: str) -> dict[str, Any]:
        """The column as a model of tables declares it."""
        if self.cells and self.booleans:
            return {"name": name, "kind": "boolean"}
        if self.cells and self.numbers:
            return {"name": name, "kind": "number"}
        if self.cells and self.dates:
            return {"name": name, "kind": "date"} | ({} if self.clock else {"parts": ["weekday", "year"]})
        many = len(self.values) > min(max(MANY_VALUES, self.cells / 2), MOST_VALUES)
        return {"name": name, "kind": "category"} | ({"many": True} if many else {})


@dataclass(frozen=True)
class Guess:
    """body: of `POST /v1/models`, without the name · lines: the guesses in sentences · label: its column"""

    body: dict[str, Any]
    lines: list[str]
    label: str


def guess(file: DataFile, label: str | None, target: str | None) -> Guess:
    """Looks through a file. target: "class" or "number", None to guess. Raises WrongUsage where there is no label."""
    found = file.label_column(label) or _last(file)
    why = "as asked" if label else "by its name" if found.casefold() in LABELS else "the last column"
    facts = _facts(file)
    labels = count_labels(file, found)
    numbers = target == "number" or (target is None and _is_number(facts[found], labels))
    inputs = {name: fact for name, fact in facts.items() if name != found}
    spec, takes = _input(file, inputs)
    body: dict[str, Any] = {"input": spec}
    lines = [f"{file.name}: {labels.rows:,} rows. Inputs: {takes}."]
    if numbers:
        body["target"] = {"kind": "number"}
        lines.append(f'Target: the number in "{found}" ({why}). If these are names of classes: --target class.')
    else:
        body["classes"] = list(labels.counts)
        counted = ", ".join(f"{name} ({count.rows:,})" for name, count in list(labels.counts.items())[:10])
        more = f" and {len(labels.counts) - 10:,} more" if len(labels.counts) > 10 else ""
        lines.append(f'Classes: {counted}{more}, from "{found}" ({why}).')
        rare = [name for name, count in labels.counts.items() if count.rows == 1]
        if rare and len(labels.counts) > len(rare):
            first = labels.counts[rare[0]]
            lines.append(f'"{rare[0]}" is in one row alone ({file.at(first.place)}): is it a slip?')
    return Guess(body, lines, found)


def _last(file: DataFile) -> str:
    if len(file.columns) < 2:
        raise WrongUsage(f"{file.name} has one column, {quoted(file.columns)}, and no labels beside it.")
    return file.columns[-1]


def _facts(file: DataFile) -> dict[str, ColumnFacts]:
    if "image" in file.columns:
        return {name: ColumnFacts(numbers=False) for name in file.columns}
    facts = {name: ColumnFacts() for name in file.columns}
    for record in file.records():
        for fact, cell in zip(facts.values(), record.cells, strict=True):
            fact.add(cell)
    return facts


def _is_number(fact: ColumnFacts, labels: LabelCounts) -> bool:
    """Whether labels are a target: numbers with fractions, or of which nearly all differ."""
    different = len(labels.counts)
    labelled = min(labels.rows - labels.unlabelled, MOST_CLASSES)
    return fact.numbers and (fact.fractions or different >= max(FEWEST_NUMBERS, DIFFERENT * labelled))


def _input(file: DataFile, facts: dict[str, ColumnFacts]) -> tuple[dict[str, Any], str]:
    """The inputs, and what they are in words."""
    if "image" in facts:
        return _image(file)
    if len(facts) == 1:
        ((name, fact),) = facts.items()
        wordy = fact.cells and fact.characters / fact.cells >= TEXT_CHARACTERS
        if wordy and not (fact.numbers or fact.dates or fact.booleans):
            return {"kind": "text"}, f'texts, in "{name}"'
    numbers = all(fact.numbers and not fact.gaps for fact in facts.values())
    stems = {match[1] if (match := NUMBERED.fullmatch(name)) else name for name in facts}
    if numbers and (len(facts) > WIDEST_TABLE or (len(stems) == 1 and len(facts) > 1)):
        return {"kind": "vector", "size": len(facts)}, f"{len(facts):,} numbers a row"
    columns = [fact.column(name) for name, fact in facts.items()]
    shown = ", ".join(f"{column['name']} ({_word(column)})" for column in columns[:10])
    more = f" and {len(columns) - 10:,} more" if len(columns) > 10 else ""
    return {"kind": "table", "columns": columns}, f"a table of {len(columns):,} columns: {shown}{more}"


def _word(column: dict[str, Any]) -> str:
    return "category of many values" if column.get("many") else str(column["kind"])


def _image(file: DataFile) -> tuple[dict[str, Any], str]:
    """The size of the first picture, which is that of all."""
    record = next(file.records())
    first = record.cells[file.columns.index("image")]
    if isinstance(first, bytes):
        import io

        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(io.BytesIO(first)) as picture:
                width, height = picture.size
                channels = 1 if picture.mode in ("1", "L") else 3
        except UnidentifiedImageError:
            raise file.wrong(record.place, "this is no picture that can be read.") from None
    else:
        channels, height, width = first.shape
    spec = {"kind": "image", "channels": channels, "height": height, "width": width}
    return spec, f"pictures of {width} x {height} pixels, {channels} {'channel' if channels == 1 else 'channels'}"
