"""What a model of somebody's rows would be: its input, its target, and which column holds that. A guess that is said.

Nothing is imported and nothing is sent: the rows say what they are. `tsuika init` guesses a file by the same rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.client.rows.csv_file import CsvFile, csv_file, naming
from service.client.rows.guessed import Guess, listed, quoted
from service.client.rows.table_rows import (
    are_dicts,
    has_wide,
    is_category,
    is_frame,
    name_cells,
    named_rows,
    names_of,
    read_dates,
    table_columns,
    whole,
)
from service.client.rows.values import is_missing, picture_shape, plain, plain_labels
from service.contract.figures import row_number
from service.contract.tables import value_text
from service.guessing.class_counts import slips
from service.guessing.column_facts import ColumnFacts, input_of
from service.guessing.csv_files.dialect import OF_ROWS, SAID_NOTHING, Dialect, SaidDialect, dialect_in
from service.guessing.csv_files.facts import by_cells, facts_of, lines_of
from service.guessing.csv_files.records import records_of
from service.guessing.doubts import DOUBTS, doubts
from service.guessing.gaps import Looked, look_through, remembering, wide_in
from service.guessing.label_column import check_label, check_one_answer, label_column, number_target, others_like_labels
from service.guessing.unguessable import Unguessable

MOST_CHANNELS = 16
_NONE = type(None)


SAY_WHICH = 'Say predicts="number" or predicts="class".'
SAY_NUMBERS = 'Make numbers of them first, float(unicodedata.normalize("NFKC", label)), or say predicts="class".'
SAY_CLASSES = 'If these are classes, say predicts="class".'


def guess(
    inputs: Any,
    labels: Any = None,
    columns: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    gaps: Sequence[str] = (),
    written: SaidDialect = SAID_NOTHING,
    predicts: str | None = None,
) -> Guess:
    """What a model of these rows would be. inputs: as of `push`. columns: those that hold labels or targets, of a file
    or frame without `labels`; else one is guessed by its name. leave_out: columns that are neither. gaps: what cells of
    a file say where nothing is known. written: how a file is, as far as somebody says so. predicts: "number" or
    "class", where somebody says it.

    Raises ValueError where the rows do not say, which is WrongFile of a file.
    """
    if both := [name for name in columns if name in leave_out]:
        raise ValueError(f'"{both[0]}" is the target and left out: say one of them.')
    if (file := csv_file(inputs)) is not None:
        with naming(file.content):
            made = dialect_in(file, written)
            dialect = by_cells(lines_of(file, made), made, written, gaps, leave_out)
            return replace(_of_file(file, columns, leave_out, gaps, dialect, predicts), dialect=dialect)
    if name_cells(inputs[:1] if isinstance(inputs, list | tuple) else inputs):
        inputs = named_rows(inputs)
    table = _columns_of(inputs)
    if table is None:
        return _with_classes(Guess(_input_of_rows(inputs), target_of(labels, predicts)), labels)
    others: list[str] = []
    if labels is None:
        asked, columns = columns, _label_columns(table, columns, leave_out)
        if columns and not asked:
            facts = {name: _facts(cells) for name, cells in table.items() if name not in leave_out}
            check_one_answer(columns[0], facts)
            others = others_like_labels(columns[0], facts)
    taken = {name: cells for name, cells in table.items() if name not in columns and name not in leave_out}
    of_frame = names_of(inputs) if is_frame(inputs) else {}
    said = {name for name, at in of_frame.items() if is_category(inputs[at])}
    if of_frame:
        taken |= read_dates({name: cells for name, cells in taken.items() if name not in said}, written.dates)
    rows = (
        inputs[[of_frame[name] for name in taken]] if of_frame else [{n: row.get(n) for n in taken} for row in inputs]
    )
    facts = {name: _facts(cells) for name, cells in taken.items() if name not in said}
    of_texts = bool(of_frame) and len(taken) == len(facts) == 1 and input_of(facts)["kind"] == "text"
    looked = _gaps_of_rows({name: taken[name] for name in facts})
    facts |= looked.facts
    columns_of_table = table_columns(rows, written.dates, [*looked.gaps])
    spec: dict[str, Any] = {"kind": "table", "columns": columns_of_table}
    numbers = [column["name"] for column in columns_of_table if column["kind"] == "number"]
    looked = replace(looked, wide=wide_in({name: facts[name] for name in numbers if name in facts}))
    spec = {"kind": "text"} if of_texts else remembering(spec, looked.gaps)
    doubtful = tuple(doubts(spec, facts))
    if len(columns) > 1:
        target: dict[str, Any] | None = number_target(*columns)
    else:
        as_class = labels is None and not said.isdisjoint(columns)
        labels = labels if labels is not None else table[columns[0]] if columns else None
        target = target_of(labels, "class" if as_class and predicts is None else predicts)
        target = number_target(*columns) if target == {"kind": "number"} else target
    gap_words, sentences = (*looked.gaps,), tuple(looked.sentences(quoted))
    ours = Guess(spec, target, tuple(columns), doubtful, gaps=gap_words, taken=sentences, others=tuple(others))
    return _with_classes(ours, labels)


def _gaps_of_rows(columns: Mapping[str, Sequence[Any]]) -> Looked:
    """Which words stand for nothing in columns that hold numbers apart from them. One that another column has, too, may
    be a value there."""

    def look(words: Collection[str]) -> dict[str, ColumnFacts]:
        taken = {name: [cell for cell in cells if cell not in words] for name, cells in mixed.items()}
        return {name: _facts(cells) for name, cells in taken.items()}

    mixed = {name: cells for name, cells in columns.items() if {str} < {*map(type, cells)} <= {str, int, float, _NONE}}
    others = {cell for name, cells in columns.items() if name not in mixed for cell in cells if isinstance(cell, str)}
    looked = look_through(look, lambda _: ())
    words = {word: names for word, names in looked.gaps.items() if word not in others}
    return looked if len(words) == len(looked.gaps) else Looked({})


def _with_classes(guessed: Guess, labels: Any) -> Guess:
    """The same with the rows of each class, where classes are predicted."""
    classes, first = dict[str, int](), dict[str, int]()
    for row, label in enumerate(() if guessed.target is not None else plain_labels(labels) or ()):
        if label is not None:
            name = str(label).lower() if isinstance(label, bool) else str(whole(label)).strip()
            classes[name] = classes.get(name, 0) + 1
            first.setdefault(name, row)
    return replace(guessed, classes=classes, first=first)


def _of_file(
    file: CsvFile,
    columns: Sequence[str],
    leave_out: Sequence[str],
    gaps: Sequence[str],
    dialect: Dialect,
    predicts: str | None,
) -> Guess:
    """What a model of a CSV file would be, by all of its rows."""

    def look(words: Collection[str]) -> dict[str, ColumnFacts]:
        facts = facts_of(lines_of(file, dialect), [*gaps, *words], dialect, columns)
        return {name: fact for name, fact in facts.items() if name not in leave_out}

    looked = look_through(look, lambda facts: _label_columns(facts, columns, ()), of_classes=predicts == "class")
    facts = looked.facts
    asked, columns = columns, _label_columns(facts, columns, ())
    others: list[str] = []
    if columns and not asked:
        check_one_answer(columns[0], facts)
        others = others_like_labels(columns[0], facts)
    inputs = {name: fact for name, fact in facts.items() if name not in columns}
    spec = remembering(input_of(inputs), gaps, looked.gaps)
    words, taken = (*dict.fromkeys([*gaps, *looked.gaps]),), tuple(looked.sentences(quoted))
    labels = {name: facts[name] for name in columns}
    doubtful = tuple(doubts(spec, inputs))
    if unknown := {cell: name for why, name, cell in doubtful if why == "gap"}:
        raise ValueError(
            f"Nearly all cells of {quoted([*dict.fromkeys(unknown.values())])} are numbers, and others say "
            f"{quoted([*unknown])}. If nothing is known there, say so: gaps=[{quoted([*gaps, *unknown])}]. If these "
            "are categories, say it first: client.create_model(name, {...})."
        )
    for why, name, cell in doubtful:
        if why in ("slip", "date_slip"):
            records = records_of(file, dialect)
            at = [*map(value_text, next(records)[1])].index(name)
            line = next(line for line, cells, _ in records if len(cells) > at and cells[at].strip() == cell)
            said = DOUBTS[why].format(column=name, cell=cell, way=f"gaps=[{quoted([*gaps, cell])}].", **dialect.forms)
            raise ValueError(
                f"Line {line:,}: {said} If these are categories, say it first: client.create_model(name, {{...}})."
            )
    if not columns:
        return Guess(spec, None, (), doubtful, gaps=words, taken=taken)
    try:
        for name, fact in labels.items() if predicts is None else ():
            check_label(name, fact)
    except Unguessable as fault:
        way = SAY_WHICH if fault.why == "numbers_or_names" else SAY_CLASSES
        raise ValueError(f"{fault} {way}") from None
    ours = Guess(spec, None, tuple(columns), doubtful, gaps=words, taken=taken, others=tuple(others))
    if len(columns) > 1 or predicts == "number" or (predicts is None and labels[columns[0]].measures):
        return replace(ours, target=number_target(*columns))
    [fact] = labels.values()
    classes = {name: rows for name, rows in {**fact.values, **fact.words}.items() if name not in looked.gaps}
    lines = _lines(file, dialect, columns[0], classes) if slips(classes) else {}
    return replace(ours, classes=classes, lines=lines)


def _lines(file: CsvFile, dialect: Dialect, label: str, classes: Collection[str]) -> dict[str, int]:
    """The line of the first row of each class."""
    records = records_of(file, dialect)
    at, lines = [*map(value_text, next(records)[1])].index(label), dict[str, int]()
    for line, cells, _ in records:
        if len(cells) > at and (name := cells[at].strip()) in classes:
            lines.setdefault(name, line)
    return lines


def _label_columns(names: Collection[str], asked: Sequence[str], leave_out: Sequence[str]) -> Sequence[str]:
    """The columns that hold labels or targets: those that were asked for, else one by its name; none where there is
    none. Raises ValueError for one that is not there."""
    if missing := [name for name in asked if name not in names]:
        raise ValueError(f'There is no column "{missing[0]}". There are {listed(names)}.')
    if asked:
        return asked
    guessed = label_column([name for name in names if name not in leave_out])
    return () if guessed is None else (guessed,)


def _facts(cells: Iterable[Any]) -> ColumnFacts:
    """What the cells of a column are."""
    facts = ColumnFacts(OF_ROWS)
    for cell in cells:
        facts.add(cell)
    return facts


def target_of(labels: Any, predicts: str | None = None) -> dict[str, Any] | None:
    """The target of a model of these labels; None where they are classes: texts, or whole numbers that come again, or
    as `predicts` says."""
    if predicts == "class":
        return None
    known = [label for label in plain_labels(labels) or () if label is not None]
    if known and all(isinstance(label, list | tuple) for label in known):
        return {"kind": "number", "size": len(known[0])}
    if predicts == "number":
        return {"kind": "number"}
    if is_category(labels):
        return None
    if has_wide(known) and all(isinstance(label, str) for label in known) and (facts := _facts(known)).measures:
        raise ValueError(f'The labels are texts of numbers, such as "{facts.wide}". {SAY_NUMBERS}')
    if not all(type(label) in (int, float) for label in known):
        return None
    facts = _facts(map(whole, known))
    if facts.may_measure:
        raise ValueError(f"The labels have {len(facts.values):,} different whole numbers. {SAY_WHICH}")
    return {"kind": "number"} if facts.measures else None


def _columns_of(inputs: Any) -> dict[str, list[Any]] | None:
    """The cells of a table by column; None where rows are of no table."""
    if is_frame(inputs):
        columns = names_of(inputs).items()
        return {name: [None if is_missing(cell) else cell for cell in inputs[at]] for name, at in columns}
    if are_dicts(inputs):
        names = dict.fromkeys(name for row in inputs for name in row)
        return {name: [row.get(name) for row in inputs] for name in names}
    return None


def _input_of_rows(rows: Any) -> dict[str, Any]:
    rows = plain(rows) if len(getattr(rows, "shape", ())) == 1 else rows  # a series, or an array of texts
    shape = _shape(rows)
    first = rows[0] if isinstance(rows, list | tuple) and rows else None
    if isinstance(first, str):
        return {"kind": "text"}
    if (picture := picture_shape(first)) is not None:
        channels, height, width = picture
        return {"kind": "image", "channels": channels, "height": height, "width": width}
    if len(shape) == 2:
        _check_numbers(rows)
        return {"kind": "vector", "size": shape[1]}
    if len(shape) == 4:
        if shape[1] > MOST_CHANNELS >= shape[3]:
            raise ValueError("Channels come first, [n, c, h, w]: of an array, images.transpose(0, 3, 1, 2).")
        spec = {"kind": "image", "channels": shape[1], "height": shape[2], "width": shape[3]}
        small = hasattr(rows, "max") and float(rows.min()) >= 0 and float(rows.max()) <= 1
        return {**spec, "scale": {"range": [0, 1]}} if small else spec
    if hasattr(rows, "__len__") and not len(rows):
        raise ValueError("There are no rows. What is read once, such as a cursor, has none the second time.")
    raise ValueError(
        "What do these rows hold? Send [n, columns] of numbers, images [n, c, h, w], texts, dicts, a frame or a file; "
        "or say it first: client.create_model(name, {...})."
    )


def _check_numbers(rows: Any) -> None:
    """Raises ValueError for text in rows that do not name their cells."""
    of_texts = getattr(getattr(rows, "dtype", None), "kind", "") in ("O", "U")  # else an array holds numbers
    for k, row in enumerate(rows if of_texts or isinstance(rows, list | tuple) else ()):
        if (of_texts or isinstance(row, list | tuple)) and any(issubclass(kind, str) for kind in set(map(type, row))):
            text = next(cell for cell in row if isinstance(cell, str))
            raise ValueError(
                f'Row {row_number(k)} holds text, "{text[:100]}": rows that are not of numbers alone have to name '
                "their cells. Send dicts or a frame; a cursor gives rows with names where it is told to, as by "
                "connection.row_factory = sqlite3.Row."
            )


def _shape(rows: Any) -> tuple[int, ...]:
    if hasattr(rows, "shape"):
        return tuple(rows.shape)
    lengths = []
    while isinstance(rows, list | tuple) and rows:
        lengths.append(len(rows))
        rows = rows[0]
    return (*lengths, *rows.shape) if lengths and hasattr(rows, "shape") else tuple(lengths)
