"""Labels of a file that a model does not know, each to be ticked as a new class: a likely slip, one of a single row, or
one whose rows nobody has counted, is not, until somebody says that it is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.contract.names import LONGEST_NAME, has_unseen, seen
from service.contract.tables import value_text
from service.guessing.class_counts import FEW_ROWS, TIMES, likely_slips, rare_classes
from service.web.words import Words

MOST = 100
"""So many are listed: likely slips first, then those that nobody has counted, then those of most rows."""
COUNTED, NAMED, TICKED = "new-", "named-", "class-"
"""Names of fields with a number behind: a label that was counted, or that a refusal named, and whether it is a new
class."""


@dataclass(frozen=True)
class NewLabel:
    """A label with its rows, as a sentence, and whether it is ticked. `field`: that carries it, "" where it can be no
    class."""

    name: str
    said: str
    ticked: bool
    field: str


def counted(lines: Sequence[Sequence[str]], column: str, gaps: Collection[str] = ()) -> Counter[str]:
    """Rows of each label, by the lines of a file whose first one names the columns."""
    place, width = lines[0].index(column), len(lines[0])
    cells = (line[place].strip() for line in lines[1:] if len(line) == width)
    return Counter(value_text(cell) for cell in cells if cell not in ("", *gaps))


def new_labels(
    rows: Mapping[str, int], classes: Iterable[str], form: Mapping[str, str], words: Words
) -> tuple[list[NewLabel], int]:
    """Those that are no classes of the model yet, ticked as in the form where that has them; and how many more there
    are. rows: of each label of the file, 0 where nobody has counted them."""
    known, enough, listed = {*classes}, TIMES * FEW_ROWS, said(form)
    slips = likely_slips({**rows, **{name: max(enough, rows.get(name, 0)) for name in known}})
    unknown = [name for name in rows if name not in known]
    unknown.sort(key=lambda name: (name not in slips, rows[name] > 0, -rows[name]))
    unsure = {*slips, *rare_classes(rows), *(name for name in rows if not rows[name])}

    def one(name: str) -> NewLabel:
        label = words("send.label" if rows[name] else "send.label_named", name=seen(name[:LONGEST_NAME]), n=rows[name])
        if len(name) > LONGEST_NAME or has_unseen(name):
            return NewLabel(name, words("send.label_bad", label=label, most=LONGEST_NAME), False, "")
        like = slips.get(name)
        if like is not None:
            others = rows.get(like, 0)
            label = words("send.label_like" if others else "send.label_near", label=label, other=like, rows=others)
        return NewLabel(name, label, listed.get(name, name not in unsure), COUNTED if rows[name] else NAMED)

    return [one(name) for name in unknown[:MOST]], max(len(unknown) - MOST, 0)


def said(form: Mapping[str, str], fields: Collection[str] = (COUNTED, NAMED)) -> dict[str, bool]:
    """The labels that a form lists in such fields, and whether each is a new class."""
    parted = ((*field.partition("-"), name) for field, name in form.items())
    return {
        value_text(name): f"{TICKED}{number}" in form
        for field, dash, number, name in parted
        if field + dash in fields and number.isdecimal()
    }


def chosen(form: Mapping[str, str]) -> list[str]:
    """Those of them that are new classes."""
    return [name for name, ticked in said(form).items() if ticked]
