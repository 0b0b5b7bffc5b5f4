"""The labels of a file beside the classes of a model: which are new, and which look like a slip of the pen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile
from service.cli.output import comma_separated
from service.contract.names import MOST_CLASSES

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

    def without_label(self, file: DataFile, noun: str) -> str:
        """Which rows have none, in a sentence; "" where all have one."""
        if not self.unlabelled:
            return ""
        places = ", ".join(f"{place:,}" if isinstance(place, int) else place for place in self.lacking)
        more = f" and {self.unlabelled - len(self.lacking):,} more" if self.unlabelled > len(self.lacking) else ""
        if self.unlabelled == 1:
            return f"1 row has no {noun}: {file.unit} {places}."
        return f"{self.unlabelled:,} rows have no {noun}: {file.unit}s {places}{more}."


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


def label_text(cell: Any) -> str | None:
    """The name of a class that a cell stands for; None where it is empty."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return None if cell is None or cell != cell else str(cell).strip() or None


def new_labels(
    file: DataFile, label: str, labels: LabelCounts, classes: Sequence[str], named: Sequence[str], model: str
) -> dict[str, Count]:
    """The labels that are no classes yet, all of which are named as new ones. Raises WrongUsage for any other.

    A model without classes takes those of its first rows.
    """
    if len(labels.counts) > MOST_CLASSES:
        raise WrongUsage(
            f'{file.name}: "{label}" has more than {MOST_CLASSES:,} different labels. Is a number predicted? Then make '
            "another model: tsuika init MODEL FILE --target number"
        )
    if not classes:
        return {}
    known = {*classes}
    unknown = {name: count for name, count in labels.counts.items() if name not in known}
    strange = [name for name in unknown if name not in named]
    if strange:
        raise WrongUsage(_refusal(file, label, {name: unknown[name] for name in strange}, classes, model))
    return unknown


def _refusal(file: DataFile, label: str, strange: Mapping[str, Count], classes: Sequence[str], model: str) -> str:
    from service.intake.near import near_matches

    names = list(strange)
    near = near_matches(names[:LISTED], classes)
    are = "label is not a class" if len(names) == 1 else "labels are not classes"
    lines = [f"{file.name}: {len(names):,} {are} of {model}. Nothing was sent."]
    for name, count in list(strange.items())[:LISTED]:
        meant = "".join(f'   near: "{like}"' for like in near[name][:1])
        more = "" if count.rows == 1 else f"   in {count.rows:,} rows"
        lines.append(f'  {file.at(count.place)}   {label} "{name}"{more}{meant}')
    if len(names) > LISTED:
        lines.append(f"  and {len(names) - LISTED:,} more")
    one = "A new class?" if len(names) == 1 else "New classes?"
    way = (
        f"--new-classes={comma_separated(names)}"
        if len(names) <= LISTED
        else "--new-classes alone lists all of them and asks."
    )
    return "\n".join([*lines, f"  {one} {way}"])
