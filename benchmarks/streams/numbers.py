"""Streams whose targets are numbers: tables in batches, as they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.cli.demonstration.prices import HOURS
from service.cli.demonstration.prices import market as drawn_market
from service.contract.inputs import InputSpec
from service.contract.targets import ColumnYardstick, NumberTarget

Floats = NDArray[np.float64]
Inputs = NDArray[np.floating[Any]]

PRICE_ROWS, PRICE_BATCH = 23_520, 336
"""Rows of elec2 whose prices are not thinned out, and half hours of a week."""
COLUMNS = ("X", "y", "batch")


@dataclass(frozen=True, eq=False)
class NumberStream:
    """inputs [n, d] float32, of tables float64 · targets [n] · batch [n]: from 0, in the order of arrival

    target: how a service is asked to learn it, and its yardstick · table [n, c]: the same rows for trees, which take
    missing values as NaN and categories as codes, in the columns `coded`; None: as the inputs are · input: what a
    service takes; None: vectors · named: of tables, the name of each value by column and code.
    """

    name: str
    inputs: Inputs
    targets: Floats
    batch: NDArray[np.int64]
    target: NumberTarget = field(default_factory=lambda: NumberTarget(kind="number"))
    table: Floats | None = None
    coded: tuple[int, ...] = ()
    input: InputSpec | None = None
    named: dict[str, dict[float, str]] = field(default_factory=dict)

    def batches(self) -> Iterator[tuple[Inputs, Floats]]:
        """Rows and targets [n, 1] of each batch."""
        for k in range(int(self.batch.max()) + 1):
            of_batch = self.batch == k
            yield self.inputs[of_batch], self.targets[of_batch, None]


def price(folder: Path | None) -> NumberStream:
    """The next half hour's electricity price, of elec2: 70 weeks. The last column is the price before."""
    table = _file(folder, "elec2", ("X_train",))["X_train"].astype(np.float64)[: PRICE_ROWS + 1]
    inputs = np.column_stack([table[1:, [0, 2, 3, 4, 5]], table[:-1, 1]])
    target = NumberTarget.model_validate({"kind": "number", "from": inputs.shape[1] - 1})
    return stream_of("price", inputs, table[1:, 1], np.arange(len(inputs)) // PRICE_BATCH, target=target)


def diabetes(folder: Path | None) -> NumberStream:
    """442 patients of scikit-learn's set, 50 a batch: few rows."""
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    order = np.random.default_rng(0).permutation(len(targets))
    return stream_of("diabetes", inputs[order], targets[order], np.arange(len(order)) // 50)


def seasons(folder: Path | None) -> NumberStream:
    """Drawn: demand that follows the temperature of the day, two years of it, 100 rows a week; heavy tails."""
    random = np.random.default_rng(0)
    day = np.sort(random.uniform(0, 730, 10_400))
    hour, holiday = random.uniform(0, 24, len(day)), (random.random(len(day)) < 0.1).astype(float)
    heat = (
        15 - 10 * np.cos(2 * np.pi * day / 365) + 4 * np.sin(2 * np.pi * hour / 24) + 3 * random.normal(size=len(day))
    )
    demand = 500 + 6 * np.abs(heat - 18) + 80 * np.sin(2 * np.pi * (hour - 7) / 24) - 60 * holiday
    return stream_of(
        "seasons",
        np.column_stack([heat, np.sin(2 * np.pi * hour / 24), np.cos(2 * np.pi * hour / 24), holiday]),
        demand * (1 + 0.03 * random.standard_t(4, len(day))),
        (day // 7).astype(np.int64),
    )


def market(folder: Path | None) -> NumberStream:
    """The made-up power market of the demonstration, longer: 18 weeks whose prices and whose rule drift."""
    weeks = list(drawn_market(weeks=18))
    inputs, prices = (np.concatenate(columns) for columns in zip(*((w.inputs, w.prices) for w in weeks), strict=True))
    target = NumberTarget(kind="number", yardstick=ColumnYardstick(column=inputs.shape[1] - 1))
    return stream_of("market", inputs, prices, np.repeat(np.arange(len(weeks)), HOURS), target=target)


NUMBER_STREAMS: dict[str, Callable[[Path | None], NumberStream]] = {
    "price": price,
    "diabetes": diabetes,
    "seasons": seasons,
    "market": market,
}


def number_stream(name: str, folder: Path | None) -> NumberStream:
    """One of these, or that of a file NAME.npz with X [n, d], y [n] and batch [n]. Raises FileNotFoundError"""
    if name in NUMBER_STREAMS:
        return NUMBER_STREAMS[name](folder)
    file = _file(folder, name, COLUMNS)
    return stream_of(name, *(file[column] for column in COLUMNS))


def stream_of(
    name: str,
    inputs: NDArray[np.generic],
    targets: NDArray[np.generic],
    batch: NDArray[np.generic],
    target: NumberTarget | None = None,
) -> NumberStream:
    """In the types of a stream. target: by default a plain number, beside the mean."""
    columns = (inputs.astype(np.float32), targets.astype(np.float64), batch.astype(np.int64))
    return NumberStream(name, *columns, target or NumberTarget(kind="number"))


def _file(folder: Path | None, name: str, columns: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    if folder is None or not (folder / f"{name}.npz").is_file():
        where = f"there is no {name}.npz in {folder}" if folder else "no folder was named"
        raise FileNotFoundError(f"{name} needs --data FOLDER (or TSUIKA_BENCH_DATA) with {name}.npz in it: {where}.")
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return {column: file[column] for column in columns}
