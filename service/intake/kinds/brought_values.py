"""The values of open categories that the rows of a body bring; too many of them, or new ones, are refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract.tables import LACKED, MOST_VALUES, SPARSE_ROW, TableInput, value_code
from service.errors import TooManyValues, UnknownValues
from service.intake.json_body import pointer_to
from service.intake.kinds.rows import Named
from service.intake.near import near_matches
from service.remedies import MANY_VALUES, NEW_VALUES

NAMED = 10
"""New values that a refusal names."""

Known = Mapping[str, Collection[str]]
"""Values that a model has, by the name of the column."""


@dataclass(frozen=True)
class BroughtValues:
    """Column -> value -> rows that have it and a label or target, and the first row that has it at all. None: rows are
    of no table. lacked: as `lacked_cells` has it, of rows with a label or target."""

    columns: Mapping[str, Mapping[str, tuple[int, int]]] | None
    lacked: Mapping[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, dict[str, int]] | None:
        """Column -> value -> rows with a label or target, of which there are some; and what they lack, by `LACKED`."""
        if self.columns is None:
            return None
        return {
            column: {value: rows for value, (rows, _) in values.items() if rows}
            for column, values in self.columns.items()
        } | {LACKED: dict(self.lacked)}


NONE_BROUGHT = BroughtValues(None)


def brought(named: Named, spec: TableInput, labelled: NDArray[np.bool_]) -> BroughtValues:
    """The values of rows [n, columns] of which `labelled` have a label or target [n]. Raises TooManyValues."""
    columns: dict[str, dict[str, tuple[int, int]]] = {}
    for place, names in named.names.items():
        cells = named.rows[:, place]
        codes, first, of = np.unique(cells, return_index=True, return_inverse=True)
        counts = np.bincount(of[labelled], minlength=len(codes))
        column = spec.columns[place].name
        if len(codes) > MOST_VALUES + 1:  # with the missing one
            raise _too_many({column: len(codes)})
        order = np.argsort(first)  # a refusal names the first rows
        columns[column] = {
            names[code]: (rows, row)
            for code, rows, row in zip(*(a[order].tolist() for a in (codes, counts, first)), strict=True)
            if code in names  # what is missing is not
        }
    values = BroughtValues(columns, lacked_cells(named.rows[labelled], spec))
    check_room(values, {})
    return values


def lacked_cells(rows: NDArray[Any], spec: TableInput) -> dict[str, int]:
    """Column -> rows that lack its cell, of which there are some; under `LACKED` the sparse ones, also if there are
    none. [n, columns]"""
    missing = np.isnan(rows)
    counts = zip((column.name for column in spec.columns), missing.sum(0).tolist(), strict=True)
    return {name: n for name, n in counts if n} | {LACKED: int((missing.mean(1) > SPARSE_ROW).sum())}


def check_room(values: BroughtValues, known: Known) -> None:
    """Raises TooManyValues where a model would have more values than it may. `known`: those that it has."""
    brings = {column: own for column, own in (values.counts() or {}).items() if column != LACKED}
    counts = {column: len({*known.get(column, ()), *own}) for column, own in brings.items()}
    if sum(counts.values()) > MOST_VALUES:
        raise _too_many(counts)


def check_new(
    values: BroughtValues,
    known: Known,
    refusing: Collection[str],
    model: str,
    learned: Callable[[], Mapping[str, Collection[float]]] = dict,
) -> None:
    """Raises UnknownValues for values that columns in `refusing` do not have, with near matches. A column without any
    takes its first ones.

    learned: codes of the values that the live version has learned, by the name of the column; an imported one has
    values that no batch brought. Called where a value is in no batch.
    """
    faults: list[tuple[str, str]] = []
    unknown: dict[str, list[str]] = {}
    count = 0
    for column, own in (values.columns or {}).items():
        has = set(known.get(column, ()))
        new = [value for value in own if value not in has] if column in refusing else []
        if new:
            codes = learned().get(column, ())
            new = [value for value in new if value_code(value) not in codes] if has or codes else []
        near = near_matches(new[:NAMED], has) if new else {}
        count += len(new)
        if new:
            unknown[column] = new[:NAMED]
        for value in near:
            of_near = ", ".join(f'"{name}"' for name in near[value])
            sentence = f'"{value}" is a new value of {column} in {model}.'
            at = f"/inputs/{own[value][1]}{pointer_to([column])}"
            faults.append((at, f"{sentence} Near: {of_near}." if of_near else sentence))
    if faults:
        more = f" ({count - NAMED} more are not listed.)" if count > NAMED else ""
        faults = faults[:NAMED]
        raise UnknownValues(f"{faults[0][1]} To take new values, {NEW_VALUES()}.{more}", faults, unknown=unknown)


def _too_many(counts: Mapping[str, int]) -> TooManyValues:
    column = max(counts, key=lambda name: counts[name])
    most, total = counts[column], sum(counts.values())
    would = f"{column} would have {most:,} of them"
    if most <= MOST_VALUES:
        would = f"they would have {total:,}, the most of them {column}, {most:,}"
    sentence = (
        f"All categories of a model together have at most {MOST_VALUES:,} values, and {would}. If it names things, "
        f"such as orders or people, {MANY_VALUES(column=column)}, or leave it out."
    )
    return TooManyValues(sentence, [("/inputs", sentence)], column=column)
