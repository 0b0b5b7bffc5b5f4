"""Drift: what is right moves a little every week; a model that trusts recent rows follows, one that trusts all does
not."""

from __future__ import annotations

import random

from examples import new_name
from tsuika import Client

WEEKS = 10


def week(number: int, chance: random.Random) -> tuple[list[list[float]], list[str]]:
    """Shoppers of a week: the line between won and lost turns."""
    rows = [[chance.gauss(0, 1), chance.gauss(0, 1)] for _ in range(150)]
    return rows, ["won" if a + 0.35 * number * b > 0 else "lost" for a, b in rows]


def main() -> None:
    chance = random.Random(0)
    weeks = [week(k, chance) for k in range(WEEKS)]
    with Client() as tsuika:
        for trusted in ("all", "recent"):
            model = tsuika.create_model(
                new_name(trusted),
                {"kind": "vector", "size": 2},
                gate={"trusted": trusted, "recent_batches": 3},
                promotion="auto",
            )
            right = asked = 0
            for rows, labels in weeks:
                if model.info().live_version is not None:  # each week is answered before it is learned
                    answers = model.predict(rows).predictions
                    right += sum(p.class_ == y for p, y in zip(answers, labels, strict=True))
                    asked += len(rows)
                model.update(rows, labels)
            print(f"trusted: {trusted}. {right / asked:.3f} of the next week's rows were right")


if __name__ == "__main__":
    main()
