"""Labels of a file that a model does not know, each to be ticked as a new class: a likely slip, or one of a single row,
is not, until somebody says that it is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.guessing.class_counts import FEW_ROWS, TIMES, likely_slips, rare_classes
from service.web.words import Words

MOST = 100
"""So many are listed, likely slips and those of most rows first."""
LABEL, TICKED = "new-", "class-"
"""Names of fields with a number behind: a label that was listed, and whether it is a new class."""


@dataclass(frozen=True)
class NewLabel:
    """A label with its rows, as a sentence, and whether it is ticked."""

    name: str
    said: str
    ticked: bool


def counted(lines: Sequence[Sequence[str]], column: str, gaps: Collection[str] = ()) -> Counter[str]:
    """Rows of each label, by the lines of a file whose first one names the columns."""
    place, width = lines[0].index(column), len(lines[0])
    cells = (line[place].strip() for line in lines[1:] if len(line) == width)
    return Counter(cell for cell in cells if cell not in ("", *gaps))


def new_labels(
    rows: Mapping[str, int], classes: Iterable[str], form: Mapping[str, str], words: Words
) -> tuple[list[NewLabel], int]:
    """Those that are no classes of the model yet, ticked as in the form where that has them; and how many more there
    are. rows: of each label of the file."""
    known, enough = {*classes}, TIMES * FEW_ROWS
    slips = likely_slips({**rows, **{name: max(enough, rows.get(name, 0)) for name in known}})
    unknown = sorted((name for name in rows if name not in known), key=lambda name: (name not in slips, -rows[name]))
    listed, ticked, rare = {*said(form)}, {*chosen(form)}, {*rare_classes(rows)}

    def one(name: str) -> NewLabel:
        like = slips.get(name)
        others = rows.get(like, 0) if like is not None else 0
        sentence = words("send.label" if like is None else "send.label_like" if others else "send.label_near",
                         name=name, n=rows[name], other=like or "", rows=others)  # fmt: skip
        return NewLabel(name, sentence, name in ticked if name in listed else like is None and name not in rare)

    return [one(name) for name in unknown[:MOST]], max(len(unknown) - MOST, 0)


def said(form: Mapping[str, str]) -> list[str]:
    """The labels that a form lists."""
    return [name for field, name in form.items() if _numbered(field, LABEL)]


def chosen(form: Mapping[str, str]) -> list[str]:
    """Those of them that are new classes."""
    of = ((form.get(TICKED + field.removeprefix(LABEL)), name) for field, name in form.items())
    listed = {*said(form)}
    return [name for tick, name in of if tick and name in listed]


def _numbered(field: str, kind: str) -> bool:
    return field.startswith(kind) and field.removeprefix(kind).isdecimal()
