"""The fourth act: numbers instead of classes. A market whose prices drift is learned week by week."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.cli.demonstration.teller import Teller, percent
from service.client import Client, RemoteModel
from service.contract.enums import UpdateState
from service.contract.predictions import NumberPredictions
from service.contract.resources import Update
from service.errors import TsuikaError

Floats = NDArray[np.float64]

WEEKS, HOURS = 12, 168
LAST_WEEK = 5
"""The column that holds the price of the same hour a week before."""
INPUT = {"kind": "vector", "size": 6}
TARGET = {"kind": "number", "names": ["EUR/MWh"], "yardstick": {"column": LAST_WEEK}}
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, eq=False)
class Week:
    """inputs [168, 6]: hour as sine and cosine, working day, temperature, wind, price a week before · prices [168]"""

    inputs: Floats
    prices: Floats


@dataclass(frozen=True)
class Measured:
    """Of one week, answered before it was learned: mean errors of the model and of last week's prices, and the share
    of prices within their interval, and how wide that is."""

    error: float
    same_as_last: float
    covered: float
    width: float


def market(weeks: int = WEEKS) -> Iterator[Week]:
    """Weeks of a made-up power market: fuel gets dearer, and wind counts for more and more."""
    random = np.random.default_rng(0)
    hour = np.arange(HOURS)
    daily, working = 2 * np.pi * hour / 24, (hour < 5 * 24).astype(float)
    before, fuel = np.zeros(HOURS), 60.0
    for week in range(-1, weeks):
        fuel += random.normal(1.0, 2.0)
        warmth = 12 + 6 * np.sin(daily - 2) + random.normal(0, 3) + random.normal(0, 1, HOURS)
        wind = np.clip(
            8 + 3 * np.sin(2 * np.pi * hour / 60 + random.uniform(0, 6)) + random.normal(0, 1, HOURS), 0, None
        )
        demand = 12 * np.sin(daily - 1.2) + 9 * working - 0.8 * warmth
        prices = fuel + demand - (1.2 + 1.5 * max(week, 0) / weeks) * wind + random.normal(0, 2, HOURS)
        if week >= 0:
            columns = (np.sin(daily), np.cos(daily), working, warmth, wind, before)
            yield Week(np.stack(columns, 1).round(3), prices.round(2))
        before = prices.round(2)


def prices(client: Client, teller: Teller) -> None:
    """Learns a market week by week, each answered before it is learned; one week comes in the wrong unit."""
    teller.heading(
        "4  Numbers that drift",
        f"A made-up power market: each of {WEEKS} weeks of hourly prices is predicted first and learned then. Fuel "
        "gets dearer, and wind counts for more and more.",
    )
    model = client.create_model("prices", INPUT, target=TARGET)
    measured: list[Measured] = []
    refused: Update | None = None
    update: Update | None = None
    for number, week in enumerate(market()):
        if number:
            measured.append(_measured(model, week))
        if number == WEEKS - 2:
            with teller.working("the next week, in cents") as progress:
                refused = model.update(week.inputs, 100 * week.prices, on_progress=progress)
        with teller.working(f"week {number + 1}") as progress:
            update = model.update(week.inputs, week.prices, on_progress=progress)
        if update.state != UpdateState.SUCCEEDED:
            raise TsuikaError(
                f"Week {number + 1} was not learned: {update.error.detail if update.error else update.state}"
            )
    assert refused is not None
    assert update is not None
    _drawn(teller, measured)
    teller.verdicts([(f"week {WEEKS - 1} in cents", refused), (f"week {WEEKS}", update)])


def _measured(model: RemoteModel, week: Week) -> Measured:
    answers = model.predict(week.inputs)
    assert isinstance(answers, NumberPredictions)
    low, high = np.array(answers.intervals).T
    inside = (low <= week.prices) & (week.prices <= high)
    return Measured(
        error=float(np.abs(np.array(answers.values) - week.prices).mean()),
        same_as_last=float(np.abs(week.inputs[:, LAST_WEEK] - week.prices).mean()),
        covered=float(np.mean(inside)),
        width=float(np.mean(high - low)),
    )


def _drawn(teller: Teller, measured: list[Measured]) -> None:
    """A line for each series, a block a week, with its mean at the end."""
    errors, last = [m.error for m in measured], [m.same_as_last for m in measured]
    top = max(*errors, *last)
    covered, wide = [m.covered for m in measured], [m.width for m in measured]
    skill = 1 - float(np.mean(errors)) / float(np.mean(last))
    what, weeks = "each week before it was learned", f"weeks 2 to {WEEKS}"
    rows = [
        ["off by, in EUR", line(errors, top), f"{np.mean(errors):.1f}"],
        ["the same as last week", line(last, top), f"{np.mean(last):.1f}"],
        ["90 % interval, how wide", line(wide, max(wide)), f"{np.mean(wide):.1f}"],
        ["within the 90 % interval", line(covered, 1.0), percent(float(np.mean(covered)))],
    ]
    teller.table([what, weeks, "mean"], rows, left=[what, weeks])
    teller.say(f"Skill over the same as last week: {skill:.2f} (0: no better, 1: never off).")


def line(values: list[float], top: float) -> str:
    """Values from 0 to `top` as blocks: the larger, the higher."""
    return "".join(BLOCKS[min(int(len(BLOCKS) * value / top), len(BLOCKS) - 1)] for value in values)
