"""The labels of a file beside the classes of a model: which are new, and which look like a slip of the pen."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile
from service.cli.output import comma_separated
from service.contract.names import LONGEST_SPELT, MOST_CLASSES, clean_class_name, seen
from service.errors import InvalidContent
from service.guessing.class_counts import likely_slips

LISTED = 10
"""Labels that a refusal lists."""


@dataclass
class Count:
    """Rows of a label, and where the first of them stands."""

    rows: int
    place: int | str


@dataclass(frozen=True)
class LabelCounts:
    """rows: all of them · unlabelled: those without a label · counts: by label, in order of appearance, up to one more
    than a model may have · lacking: where the first ones without a label stand"""

    rows: int
    unlabelled: int
    counts: Mapping[str, Count]
    lacking: Sequence[int | str] = ()

    @property
    def rows_of(self) -> dict[str, int]:
        """Rows of each label."""
        return {name: count.rows for name, count in self.counts.items()}

    def without_label(self, file: DataFile, noun: str) -> str:
        """Which rows have none, in a sentence; "" where all have one."""
        if not self.unlabelled:
            return ""
        places = ", ".join(f"{place:,}" if isinstance(place, int) else place for place in self.lacking)
        more = f" and {self.unlabelled - len(self.lacking):,} more" if self.unlabelled > len(self.lacking) else ""
        counted = " (counted from 0)" if file.unit == "row" else ""
        if self.unlabelled == 1:
            return f"1 row has no {noun}: {file.unit} {places}{counted}."
        return f"{self.unlabelled:,} rows have no {noun}: {file.unit}s {places}{more}{counted}."


def count_labels(file: DataFile, label: str | None) -> LabelCounts:
    """Reads the file once. Raises WrongUsage for a label that is no name, and for a file without rows."""
    at = None if label is None else file.columns.index(label)
    rows = unlabelled = 0
    counts: dict[str, Count] = {}
    lacking: list[int | str] = []
    for record in file.records():
        rows += 1
        text = None if at is None else label_text(record.cells[at])
        if text is None:
            unlabelled += 1
            lacking += [record.place] if len(lacking) < LISTED else []
        elif text in counts:
            counts[text].rows += 1
        elif len(counts) <= MOST_CLASSES:
            counts[text] = Count(1, record.place)
    if not rows:
        raise WrongUsage(f"{file.name} has a header and no row.")
    return LabelCounts(rows, unlabelled, counts, lacking)


def named_classes(asked: str | None) -> list[str]:
    """The names of an option, with commas as CSV has them. Raises WrongUsage."""
    try:
        [names] = csv.reader([asked or ""], skipinitialspace=True)
    except csv.Error:
        raise WrongUsage("--new-classes: write the names in one line, with commas between them.") from None
    return [text for name in names if (text := spelt(name))]


def label_text(cell: Any) -> str | None:
    """The name of a class that a cell stands for; None where it is empty."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return None if cell is None or cell != cell else spelt(str(cell)) or None


def spelt(text: str) -> str:
    """A label as the service spells classes (`clean_class_name`): trimmed, in NFC unless it is too long for a name."""
    return text.strip() if len(text) > LONGEST_SPELT else unicodedata.normalize("NFC", text).strip()


def new_labels(
    file: DataFile, label: str, labels: LabelCounts, classes: Sequence[str], named: Sequence[str], model: str
) -> dict[str, Count]:
    """The labels that are no classes yet, all of which are named as new ones. Raises WrongUsage for any other.

    A model without classes takes those of its first rows, but for likely slips.
    """
    if len(labels.counts) > MOST_CLASSES:
        raise WrongUsage(
            f'{file.name}: "{label}" has more than {MOST_CLASSES:,} different labels. Is a number predicted? Then make '
            "another model: tsuika init MODEL FILE --target number"
        )
    if not classes:
        check_first(file, label, labels, named, "Nothing was sent.")
        return {}
    known = {*classes}
    unknown = {name: count for name, count in labels.counts.items() if name not in known}
    check_names(file.name_at, unknown, "Nothing was sent.")
    strange = [name for name in unknown if name not in named]
    if strange:
        meant = [name for name in unknown if name in named]
        refused = unknown_labels(file.at, label, {name: unknown[name] for name in strange}, classes, model, meant)
        raise WrongUsage(f"{file.name}: {refused}")
    return unknown


def check_first(file: DataFile, label: str, labels: LabelCounts, meant: Sequence[str], nothing: str) -> None:
    """Raises WrongUsage where a label of the first rows is likely a slip of another, unless it is meant."""
    check_names(file.name_at, labels.counts, nothing)
    near = {name: like for name, like in likely_slips(labels.rows_of).items() if name not in meant}
    if near:
        may_be = "1 label may be a slip" if len(near) == 1 else f"{len(near):,} labels may be slips"
        strange = {name: labels.counts[name] for name in near}
        asked = _listed(file.at, label, strange, near, meant, "takes all of them")
        raise WrongUsage(f"{file.name}: {may_be} of another. {nothing}\n{asked}")


def check_names(at: Callable[[int | str], str], labels: Mapping[str, Count], nothing: str) -> None:
    """Raises WrongUsage for a label that can be no class, so that no command names it as one. at: a place as text ·
    nothing: the sentence that nothing was done."""
    for name, count in labels.items():
        try:
            clean_class_name(name, "")
        except InvalidContent as refused:
            raise WrongUsage(f'{at(count.place)}: label "{seen(name[:100])}": {refused.detail} {nothing}') from None


def unknown_labels(
    at: Callable[[int | str], str],
    label: str,
    strange: Mapping[str, Count],
    classes: Sequence[str],
    model: str,
    meant: Sequence[str],
) -> str:
    """What is said of labels that are no classes. at: a place as text; strange: where each stands; meant: those that
    are new classes."""
    from service.intake.near import near_matches

    names = list(strange)
    near = {name: likes[0] for name, likes in near_matches(names[:LISTED], classes).items() if likes}
    are = "label is not a class" if len(names) == 1 else "labels are not classes"
    asked = _listed(at, label, strange, near, meant, "lists all of them and asks")
    return f"{len(names):,} {are} of {model}. Nothing was sent.\n{asked}"


def _rows(count: Count) -> str:
    return f"{count.rows:,} row{'s'[: count.rows != 1]}"


def _listed(
    at: Callable[[int | str], str],
    label: str,
    strange: Mapping[str, Count],
    near: Mapping[str, str],
    meant: Sequence[str],
    alone: str,
) -> str:
    """Labels with the line of each and what it is like; how likely slips are mended, and the option that takes labels
    for classes beside those that are meant. alone: what it does without names."""
    lines = []
    for name, count in list(strange.items())[:LISTED]:
        like = f'   near: "{near[name]}"' if name in near else ""
        more = "" if count.rows == 1 else f"   in {_rows(count)}"
        lines.append(f'  {at(count.place)}   {label} "{name}"{more}{like}')
    if len(strange) > LISTED:
        lines.append(f"  and {len(strange) - LISTED:,} more")
    new = [name for name in strange if name not in near] or [*strange]  # a slip is not put into a command to copy
    if near:
        mended = ", ".join(f'"{slip}" -> "{like}" in {_rows(strange[slip])}' for slip, like in near.items())
        alike = any(slip.casefold() == like.casefold() for slip, like in near.items())
        blanks = " Capitals count, and blanks around a label do not." if alike else ""
        lines.append(f"  A slip? Mend it: {mended}.{blanks}")
    one = "A new class" if len(new) == 1 else "New classes"
    one += " all the same?" if new[0] in near else "?"
    way = f"--new-classes={comma_separated([*meant, *new])}" if len(new) <= LISTED else f"--new-classes alone {alone}."
    return "\n".join([*lines, f"  {one} {way}"])
