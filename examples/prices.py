"""Prices from a table: numbers, categories and gaps; an interval with each answer; a batch in a wrong unit is
stopped."""

from __future__ import annotations

import random
from typing import Any

from examples import new_name, verdict
from tsuika import Client, table_columns

DEAR = {"Osaka": 60, "Kyoto": 75, "Nara": 40}
Rows = list[dict[str, Any]]


def flats(chance: random.Random, count: int) -> tuple[Rows, list[float]]:
    """Made-up flats with their rents; of some nobody knows the rooms."""
    rows, rents = Rows(), list[float]()
    for _ in range(count):
        city, rooms, balcony = chance.choice(list(DEAR)), chance.randint(1, 5), chance.random() < 0.5
        rows.append({"city": city, "rooms": rooms if chance.random() < 0.95 else None, "balcony": balcony})
        rents.append(DEAR[city] + 18 * rooms + 9 * balcony + chance.gauss(0, 3))
    return rows, rents


def main() -> None:
    chance = random.Random(0)
    first, *more, last = (flats(chance, 150) for _ in range(6))
    with Client() as tsuika:
        columns = table_columns(first[0])  # a proposal from the rows: look at it before you use it
        model = tsuika.create_model(
            new_name("rents"), {"kind": "table", "columns": columns}, target={"kind": "number", "names": ["rent"]}
        )
        print(verdict(model.update(*first)))
        for batch in more:
            print(verdict(model.update(*batch)))
        print(verdict(model.update(last[0], [10 * rent for rent in last[1]], source="slipped")))
        answer = model.predict([{"city": "Kyoto", "rooms": 3, "balcony": True}], level=0.8)
        low, high = answer.intervals[0]
        print(f"about {answer.values[0]:.0f}; four of five such flats lie between {low:.0f} and {high:.0f}")


if __name__ == "__main__":
    main()
