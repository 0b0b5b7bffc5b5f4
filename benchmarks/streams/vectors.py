"""Streams of vectors, as they came: electricity, patients, and two that are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.streams.stream import Layers, Rows, Stream, arrays, parts_of
from service.cli.demonstration.prices import HOURS
from service.cli.demonstration.prices import market as drawn_market
from service.contract.inputs import VectorInput
from service.contract.targets.number_target import NumberTarget

PRICE_ROWS, WEEK = 23_520, 336
"""Rows of elec2 whose prices are not thinned out, and half hours of a week."""


def elec2(folder: Path | None) -> Stream:
    """Whether the price rises, 108 weeks in order of time; judged by the latest batches alone, since it drifts."""
    file = arrays("elec2", folder)
    inputs, labels = file["X_train"].astype(np.float32), file["y_train"].astype(str)
    spec, parts = VectorInput(kind="vector", size=inputs.shape[1]), parts_of(np.arange(len(labels)) // WEEK)
    layers = Layers((128, 128), 0.1, 5)
    return Stream("elec2", spec, Rows(inputs, labels), parts, layers=layers, policy={"trusted": "recent"})


def price(folder: Path | None) -> Stream:
    """The next half hour's electricity price, of elec2: 70 weeks. The last column is the price before."""
    table = arrays("elec2", folder)["X_train"].astype(np.float64)[: PRICE_ROWS + 1]
    inputs = np.column_stack([table[1:, [0, 2, 3, 4, 5]], table[:-1, 1]])
    return numbers("price", inputs, table[1:, 1], np.arange(len(inputs)) // WEEK, **{"from": inputs.shape[1] - 1})


def diabetes(folder: Path | None) -> Stream:
    """442 patients of scikit-learn's set, 50 a batch: few rows."""
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    order = np.random.default_rng(0).permutation(len(targets))
    return numbers("diabetes", inputs[order], targets[order], np.arange(len(order)) // 50)


def seasons(folder: Path | None) -> Stream:
    """Drawn: demand that follows the temperature of the day, two years of it, 100 rows a week; heavy tails."""
    random = np.random.default_rng(0)
    day = np.sort(random.uniform(0, 730, 10_400))
    hour, holiday = random.uniform(0, 24, len(day)), (random.random(len(day)) < 0.1).astype(float)
    heat = (
        15 - 10 * np.cos(2 * np.pi * day / 365) + 4 * np.sin(2 * np.pi * hour / 24) + 3 * random.normal(size=len(day))
    )
    demand = 500 + 6 * np.abs(heat - 18) + 80 * np.sin(2 * np.pi * (hour - 7) / 24) - 60 * holiday
    return numbers(
        "seasons",
        np.column_stack([heat, np.sin(2 * np.pi * hour / 24), np.cos(2 * np.pi * hour / 24), holiday]),
        demand * (1 + 0.03 * random.standard_t(4, len(day))),
        day // 7,
    )


def market(folder: Path | None) -> Stream:
    """The made-up power market of the demonstration, longer: 18 weeks whose prices and whose rule drift."""
    weeks = list(drawn_market(weeks=18))
    inputs, prices = (np.concatenate(columns) for columns in zip(*((w.inputs, w.prices) for w in weeks), strict=True))
    batch = np.repeat(np.arange(len(weeks)), HOURS)
    return numbers("market", inputs, prices, batch, yardstick={"column": inputs.shape[1] - 1})


def of_file(name: str, folder: Path | None) -> Stream:
    """That of a file NAME.npz with X [n, d], numbers y [n] and batch [n]. Raises FileNotFoundError"""
    file = arrays(name, folder)
    return numbers(name, file["X"], file["y"], file["batch"])


def numbers(name: str, inputs: NDArray[Any], targets: NDArray[Any], batch: NDArray[Any], **target: Any) -> Stream:
    """Vectors [n, d] whose targets are numbers [n], in the order of `batch` [n]. target: members of `NumberTarget`."""
    rows = Rows(inputs.astype(np.float32), targets.astype(np.float64))
    learned = NumberTarget.model_validate({"kind": "number", **target})
    return Stream(name, VectorInput(kind="vector", size=inputs.shape[1]), rows, parts_of(batch), target=learned)


VECTORS = {"elec2": elec2, "price": price, "diabetes": diabetes, "seasons": seasons, "market": market}
