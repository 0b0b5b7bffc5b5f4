"""What model a file is for: its inputs, its target and its classes, guessed from all of its rows and said in sentences.

The rule is that of the client and the pages (`service/guessing/column_facts.py`). A guess is a body of
`POST /v1/models`, to be looked at before it is used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from service.cli.connection import in_options
from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile, quoted
from service.cli.files.labels import LabelCounts, check_first, count_labels, named_classes
from service.cli.output import word
from service.contract.names import shortened
from service.guessing.class_counts import counted_classes, slips
from service.guessing.column_facts import FEWEST_NUMBERS, ColumnFacts, input_of
from service.guessing.csv_files.dialect import Dialect
from service.guessing.csv_files.facts import by_cells, check_header
from service.guessing.doubts import DOUBTS, doubts
from service.guessing.gaps import look_through, remembering
from service.guessing.label_column import LABELS, check_one_answer, number_target, others_like_labels
from service.guessing.unguessable import SENTENCES, Unguessable

AGAIN = " --replace"
"""With this a command makes a model anew that is there."""
MOST_NAMED = 10
"""Columns that a command leaves out."""


@dataclass(frozen=True)
class Guess:
    """body: of `POST /v1/models`, without the name · lines: the guesses in sentences · label: its column · gaps: what
    cells say where nothing is known · doubtful: whether a column may not be as it is guessed"""

    body: dict[str, Any]
    lines: list[str]
    label: str
    gaps: list[str]
    doubtful: bool


def guess(
    file: DataFile,
    label: str | None,
    target: str | None,
    repeat: str = "{}",
    categories: Sequence[str] = (),
    meant: str | None = "",
    said_gaps: Sequence[str] = (),
) -> Guess:
    """Looks through a file. target: "class" or "number", None to guess. repeat: the command that guesses it anew, with
    {} in the place of one more option; a refusal says it without AGAIN, since nothing was made. categories: columns
    that are such, whatever their cells look like. meant: classes that are no slips, with commas, None for all.
    said_gaps: words for gaps that the file is without already. Raises WrongUsage where there is no label."""
    label_name = file.label_column(label) or _last(file)
    why = "as asked" if label else "by its name" if label_name.casefold() in LABELS else "the last column"
    dialect = _dialect(file)
    for name in categories:
        file.check_column(name)

    def look(words: Collection[str]) -> dict[str, ColumnFacts]:
        return _facts(file.without((), [*words]), dialect, [label] if label else [], categories)

    looked = look_through(look, lambda _: [label_name], categories, target == "class")
    facts, gaps = looked.facts, looked.gaps
    if label is None:
        _require_one_answer(file, label_name, facts)
    inputs = {name: fact for name, fact in facts.items() if name != label_name}
    if not inputs:
        raise WrongUsage(f'Beside "{label_name}" no column of {file.name} is left to predict it from.')
    spec, takes = _takes(file, inputs)
    labels = count_labels(file.without((), list(gaps)), label_name)
    numbers = target == "number" or (target is None and facts[label_name].measures)
    if target is None and not numbers:
        _require_classes(file, label_name, labels, facts[label_name], repeat.removesuffix(AGAIN))
    body: dict[str, Any] = {"input": remembering(spec, said_gaps, gaps)}
    lines = [f"{file.name}: {labels.rows:,} rows. Inputs: {takes}."]
    lines += [dialect.sentence] if dialect.sentence else []
    if numbers:
        body["target"] = number_target(label_name)
        lines.append(f'Target: the number in "{label_name}" ({why}). If these are names of classes: --target class.')
    else:
        named = [*labels.counts] if meant is None else named_classes(meant)
        check_first(file, label_name, labels, named, "Nothing was made.")
        lines += _of_classes(file, label_name, why, labels, facts[label_name], target)
        body["classes"] = list(labels.counts)
    lines += looked.sentences(quoted)
    lines += [lacking] if (lacking := labels.without_label(file, "number" if numbers else "label")) else []
    doubtful = doubts(spec, {name: fact for name, fact in inputs.items() if name not in categories})
    _require_no_slip(file, doubtful, dialect, repeat.removesuffix(AGAIN))
    lines += _otherwise(doubtful, [*inputs], [*looked.guessed], repeat, dialect)
    others = [] if label else others_like_labels(label_name, facts)
    if others:
        lines.append(
            f"If another column is to be predicted, such as {quoted(others[:4])}: "
            f"--label COLUMN{AGAIN if repeat.endswith(AGAIN) else ''}"
        )
    return Guess(body, lines, label_name, list(gaps), bool(doubtful or looked.guessed or others))


def _otherwise(
    doubtful: Sequence[tuple[str, str, str]],
    inputs: Sequence[str],
    numbers: Sequence[str],
    repeat: str,
    dialect: Dialect,
) -> list[str]:
    """What may not be as it is guessed, texts first, and how it is said: by one command, which says all of it where
    there is more, and leaves a column of the inputs. numbers: those that are such but for words, and may be
    categories."""
    doubtful = sorted(doubtful, key=lambda doubt: doubt[0] != "text")
    options = [
        f"--gaps {word(cell)}" if why in ("gap", "words") else f"--leave-out {word(name)}"
        for why, name, cell in doubtful
    ]
    of_all = dict.fromkeys(o for o, (why, _, _) in zip(options, doubtful, strict=True) if "{way}" in DOUBTS[why])
    command = repeat.replace("{}", " ".join(of_all))
    leaves_one = not {f"--leave-out {word(name)}" for name in inputs} <= of_all.keys()
    texts = [name for why, name, _ in doubtful if why == "text"]
    lines = list[str]()
    for option, (why, name, cell) in zip(options, doubtful, strict=True):
        way = command if len(of_all) == 1 else option
        if len(inputs) == 1 and not leaves_one:
            way = "no column is left then, so add one to the file."
        way += f", or --category {word(name)}" if why == "ids" else ""
        if why == "text":
            way = _as_texts(name, inputs, repeat)
        lines.append(DOUBTS[why].format(column=name, cell=cell, way=way, **dialect.forms))
    if leaves_one and (len(of_all) > 1 or texts):
        without = f"without {quoted(texts)}"
        at_once = f"All of this at once{f', {without}' if texts else ''}" if len(of_all) > 1 else f"A table {without}"
        lines.append(f"{at_once}: {command}")
    elif len(of_all) > 1 and not texts:
        lines.append("Keep one of them: without all of them nothing is left to predict from.")
    if numbers:
        as_categories = repeat.replace("{}", " ".join(f"--category {word(name)}" for name in numbers))
        lines.append(
            f"If {quoted(numbers)} {'are categories' if len(numbers) > 1 else 'is a category'}: {as_categories}"
        )
    return lines


def _as_texts(column: str, inputs: Sequence[str], repeat: str) -> str:
    """How a model of texts of that column alone is made."""
    others = [name for name in inputs if name != column]
    if len(others) > MOST_NAMED:
        return "For a model of texts leave out all other inputs."
    command = repeat.replace("{}", " ".join(f"--leave-out {word(name)}" for name in others))
    return f"For a model of texts of that column alone: {command}"


def _of_classes(
    file: DataFile, label: str, why: str, labels: LabelCounts, fact: ColumnFacts, target: str | None
) -> list[str]:
    """What is said of the classes. Raises WrongUsage where there are none."""
    if not labels.counts:
        raise WrongUsage(f'{file.name}: no row has a label in "{label}" ({why}). Is it another column? --label COLUMN')
    rows = labels.rows_of
    hint = ""
    if target is None and len(labels.counts) >= FEWEST_NUMBERS and all(map(fact.is_number, labels.counts)):
        hint = " If these are numbers to be predicted: --target number."
    source = "the names of the folders" if file.unit == "picture" else f'"{label}" ({why})'
    lines = [f"Classes: {counted_classes(rows)}, from {source}.{hint}"]
    asked = slips(rows, lambda name: f" ({file.at(labels.counts[name].place)})")
    return [*lines, asked] if asked else lines


def _require_classes(file: DataFile, label: str, labels: LabelCounts, fact: ColumnFacts, repeat: str) -> None:
    """Raises WrongUsage where labels are numbers that may be no names of classes, or look like such and one is none: it
    is written otherwise."""
    if fact.may_measure:
        ways = " or ".join(repeat.replace("{}", f"--target {kind}") for kind in ("number", "class"))
        asked = SENTENCES["numbers_or_names"].format(column=label, values=len(fact.values))
        raise WrongUsage(f"{file.name}: {asked} {ways}")
    strange = next((name for name in labels.counts if not fact.is_number(name)), "")
    if strange and fact.strange is not None:
        place, number = file.at(labels.counts[strange].place), fact.dialect.forms["number"]
        raise WrongUsage(
            f'{file.name}, {place}: values of "{label}" look like numbers, and "{strange[:100]}" is none. Write '
            f"numbers as 12500 or {number}, without a unit or anything between thousands; for classes say --target "
            f"class{f', and where nothing is known --gaps {word(strange)}' if fact.phrases else ''}."
        )


def _require_one_answer(file: DataFile, label: str, facts: Mapping[str, ColumnFacts]) -> None:
    try:
        check_one_answer(label, facts)
    except Unguessable as fault:
        raise WrongUsage(f"{file.name}: {in_options(str(fault))}") from None


def _require_no_slip(file: DataFile, doubtful: Sequence[tuple[str, str, str]], dialect: Dialect, repeat: str) -> None:
    """Raises WrongUsage where nearly all cells of an input are numbers or dates and one is none, which it names."""
    for why, name, cell in doubtful:
        if why in ("slip", "date_slip"):
            at = file.columns.index(name)
            place = next(record.place for record in file.records() if str(record.cells[at]) == cell)
            said = DOUBTS[why].format(column=name, cell=cell[:100], way=f"--gaps {word(cell)}.", **dialect.forms)
            as_category = repeat.replace("{}", f"--category {word(name)}")
            raise file.wrong(place, f"{said} If these are categories: {as_category}")


def _last(file: DataFile) -> str:
    if len(file.columns) < 2:
        title = " If it is a title, remove what stands above the names of the columns." if file.is_csv else ""
        raise WrongUsage(f"{file.name} has one column, {quoted(file.columns)}, and no labels beside it.{title}")
    return file.columns[-1]


def _dialect(file: DataFile) -> Dialect:
    """How the file is written. Raises WrongUsage where its cells can be read in two ways."""
    lines = chain([file.columns], (record.cells for record in file.records()))
    try:
        return by_cells(lines, file.dialect, file.said)
    except Unguessable as fault:
        raise WrongUsage(f"{file.name}: {in_options(str(fault))}") from None


def _facts(
    file: DataFile, dialect: Dialect, labels: Sequence[str], categories: Collection[str]
) -> dict[str, ColumnFacts]:
    if "image" in file.columns:
        return {name: ColumnFacts(numbers=False) for name in file.columns}
    facts = {name: ColumnFacts(dialect) for name in file.columns}
    for record in file.records():
        for fact, cell in zip(facts.values(), record.cells, strict=True):
            fact.add(cell)
    try:
        check_header(facts, labels)
    except Unguessable as fault:
        raise WrongUsage(f"{file.name}, line {file.header}: {in_options(str(fault))}") from None
    for name in categories:
        facts[name].numbers = facts[name].dates = facts[name].booleans = False
    return facts


def _takes(file: DataFile, facts: Mapping[str, ColumnFacts]) -> tuple[dict[str, Any], str]:
    """The inputs, and what they are in words."""
    if "image" in facts:
        return _image(file)
    spec = input_of(facts, file.named)
    if spec["kind"] == "text":
        return spec, f"texts, in {quoted(list(facts))}"
    if spec["kind"] == "vector":
        return spec, f"{len(facts):,} numbers a row"
    columns = spec["columns"]
    described = [f"{column['name']} ({_word(column)})" for column in columns]
    return spec, f"a table of {len(columns):,} columns: {shortened(described, 10)}"


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
        except Image.DecompressionBombError:
            raise file.wrong(record.place, "this picture has far too many pixels. Make it smaller.") from None
    else:
        channels, height, width = first.shape
    spec = {"kind": "image", "channels": channels, "height": height, "width": width}
    return spec, f"pictures of {width} x {height} pixels, {channels} {'channel' if channels == 1 else 'channels'}"
