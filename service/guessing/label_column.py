"""Which column of a file or frame holds labels or targets, by its name or by what is left; which are no inputs; and a
target of numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.contract.names import LONGEST_NAME
from service.guessing.column_names import NAMES_THINGS
from service.guessing.unguessable import Unguessable

if TYPE_CHECKING:
    from service.guessing.column_facts import ColumnFacts

LABELS = ("label", "target", "class", "y", "category", "ラベル", "正解", "クラス", "分類")
"""What the column of labels or targets is called, the likeliest first."""
OF_INPUTS = ("category", "分類")
"""Those of them that an input is called as often."""


def number_target(*columns: str) -> dict[str, Any]:
    """The target of a model that predicts the numbers in these columns, called as they are."""
    size = {"size": len(columns)} if len(columns) > 1 else {}
    named = {"names": list(columns)} if all(0 < len(name) <= LONGEST_NAME for name in columns) else {}
    return {"kind": "number", **size, **(named if columns else {})}


def label_column(names: Iterable[str], inputs: Iterable[str] = ()) -> str | None:
    """The column that holds labels or targets: by its name, else the only one that is no input of the model, or, where
    nothing is known of inputs, the last one."""
    known = set(inputs)
    others = [name for name in names if name not in known]
    named = named_label(others)
    if named is not None or not others:
        return named
    return others[-1] if not known else others[0] if len(others) == 1 else None


def named_label(names: Sequence[str]) -> str | None:
    """The column that is called as columns of labels are, the likeliest first."""
    by_name = {name.strip().casefold(): name for name in reversed(names)}
    return next((by_name[word] for word in LABELS if word in by_name), None)


def strangers(names: Sequence[str]) -> list[str]:
    """Those of the names that an id or a label has: its column is no input of numbers or texts."""
    return [name for name in names if NAMES_THINGS.search(name) or _is_label(name)]


def _is_label(name: str) -> bool:
    word = name.strip().casefold()
    return word in LABELS and word not in OF_INPUTS


def others_like_labels(label: str, facts: Mapping[str, ColumnFacts]) -> list[str]:
    """Which other columns may be that of the labels, where one was taken for it since it is the last. facts: of each
    column."""
    if named_label([label]) is not None:
        return []
    return [name for name, fact in facts.items() if name != label and fact.may_be_classes]


def check_one_answer(name: str, facts: Mapping[str, ColumnFacts]) -> None:
    """Raises Unguessable where a column is called as categories are, too, and the last one holds numbers that may be
    predicted. name: of the column of labels by its name."""
    last = [*facts][-1]
    if name.strip().casefold() in OF_INPUTS and name != last and facts[last].measures:
        raise Unguessable("two_answers", column=name, last=last)


def check_label(name: str, facts: ColumnFacts) -> None:
    """Raises Unguessable where the values of a column look like numbers and one is none: prices with a slip are no
    classes; and where they are numbers that may be names of classes as well."""
    if facts.may_measure:
        raise Unguessable("numbers_or_names", column=name, values=len(facts.values))
    if not facts.measures and (strange := facts.strange):
        raise Unguessable("slip", column=name, cell=strange, number=facts.dialect.forms["number"])


def column_aside(
    facts: Mapping[str, ColumnFacts], texts: bool, classes: Collection[str], called: Sequence[str] = ()
) -> tuple[str | None, bool]:
    """Which column of rows to be predicted is no input, where a file has one more than texts or rows of numbers take;
    and whether it holds what is right. facts: of each column · classes: that the model knows · called: its numbers.

    By the numbering of the others (p0, p1, ...), by its name, or by its cells: numbers beside texts, what only numbers
    the rows, or known classes in the last column. None where that is no column, or more than one.
    """
    names = [*facts]
    named = called[0] if len(called) == 1 and called[0] in names else named_label(names)
    counts = [name for name, fact in facts.items() if (fact.numbers if texts else fact.doubt == ("numbering", ""))]
    last = set(map(str.casefold, facts[names[-1]].values))
    known = names[-1:] if classes and last <= set(map(str.casefold, classes)) else []
    if not texts and (odd := _without_numbering(names)):
        candidates = odd
    elif named is not None:
        candidates = [named]
    else:
        candidates = list(dict.fromkeys(counts + known))
    if len(candidates) != 1:
        return None, False
    aside = candidates[0]
    last_of_numbers = not classes and aside == names[-1] and candidates != counts
    return aside, aside == named or candidates == known or last_of_numbers


def _without_numbering(names: Sequence[str]) -> list[str]:
    """The one name that is not numbered as all others are; none where there is no such one."""
    stems = [name.rstrip("0123456789") for name in names]
    odd = [name for name, stem in zip(names, stems, strict=True) if stems.count(stem) == 1]
    return odd if len(names) > 2 and len(odd) == 1 and len({*stems}) == 2 else []
