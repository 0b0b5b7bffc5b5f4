"""Which column of a file or frame holds labels or targets, by its name or by what is left; and a target of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from service.contract.names import LONGEST_NAME

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
