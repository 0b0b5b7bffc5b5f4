"""Models of tables in process: rows of every kind of column, whose labels and targets follow from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.contract.tables import value_code
from service.learning.data.rows import Rows
from tests.learning.memory_data import SECRET
from tests.learning.number_streams import number_rows
from tests.tables import table_of
from tests.updating import make_rows

Floats = NDArray[np.float64]

SHOP = table_of(
    {
        "size": "number",
        "city": "category",
        "plan": {"kind": "category", "values": ["basic", "plus"]},
        "booked": "date",
        "member": "boolean",
    },
    indicators=64,
)
CITY = 1
CITIES = ("Osaka", "Oslo", "Quito", "Lima")
LATE = "Nairobi"
"""A city that only later rows have."""
MANY = 1000
"""Learning rows that classes have already, so that no row is lent."""
SPENDS = {"Osaka": 3.0, "Oslo": -2.0, "Quito": 1.0, "Lima": 0.0, LATE: 5.0}


def shop(n: int, seed: int = 0, cities: tuple[str, ...] = CITIES) -> Floats:
    """Rows of the shop, a few of each column missing. [n, 5]"""
    random = np.random.default_rng(seed)
    columns = [
        random.normal(50, 10, n),
        random.choice([value_code(c) for c in cities], n),
        random.choice([value_code("basic"), value_code("plus")], n),
        1.7e9 + random.integers(0, 10**7, n),
        random.integers(0, 2, n),
    ]
    rows = np.stack([np.asarray(column, np.float64) for column in columns], 1)
    rows[random.random(rows.shape) < 0.05] = np.nan
    return rows


def spent(rows: Floats) -> Floats:
    """What the customers of these rows spend; some of it no column says. [n]"""
    by_city = {value_code(city): amount for city, amount in SPENDS.items()}
    city = np.array([by_city.get(code, 0.0) for code in rows[:, CITY]])
    noise = np.sin(1000 * np.nan_to_num(rows[:, 0])) / 3
    return np.asarray(np.nan_to_num(rows[:, 0] - 50) / 10 + city + np.nan_to_num(rows[:, 4]) + noise)


def buys(rows: Floats) -> list[str]:
    """Who buys. [n]"""
    return ["buys" if amount > 1 else "leaves" for amount in spent(rows)]


def class_rows(batch: str, rows: Floats) -> Rows:
    """A batch with classes, as the door would store it."""
    return make_rows(batch, rows, buys(rows), SECRET, learning_rows={"buys": MANY, "leaves": MANY})


def target_rows(batch: str, rows: Floats) -> Rows:
    """A batch with numbers, as the door would store it."""
    return number_rows(batch, rows, spent(rows), learning={"": MANY})
