"""The fifth act: rows of a table in CSV files. A city that nobody has declared appears in the fourth week."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.cli.demonstration.prices import line
from service.cli.demonstration.teller import Teller
from service.client import Client, InvalidContent, RemoteModel
from service.contract.enums import UpdateState, Verdict
from service.contract.predictions import NumberPredictions
from service.contract.resources import Update
from service.errors import TsuikaError

Floats = NDArray[np.float64]

WEEKS, ROWS, OPENING = 6, 240, 4
"""Weeks, deliveries a week, and the week in which the new city appears."""
KNOWN = {"Osaka": 0.0, "Kyoto": 9.0, "Nara": -6.0}
NEW, LONGER = "Kobe", 16.0
"""The new city, and by how many minutes its deliveries take longer."""
NAMES = ["city", "placed", "km", "parcels", "member"]
INPUT = {
    "kind": "table",
    "columns": [
        {"name": "placed", "kind": "date", "parts": ["hour", "weekday"]},
        {"name": "km", "kind": "number"},
        {"name": "parcels", "kind": "number"},
        {"name": "city", "kind": "category"},
        {"name": "member", "kind": "boolean"},
    ],
}
TARGET = {"kind": "number", "names": ["minutes"]}


@dataclass(frozen=True, eq=False)
class Week:
    """Deliveries of a week: cells as text by the names above, [240, 5], and how long they took [240]."""

    cells: list[list[str]]
    minutes: Floats

    @property
    def new(self) -> NDArray[np.bool_]:
        """Which of them went to the new city. -> [240]"""
        return np.array([cells[0] == NEW for cells in self.cells])

    def save(self, file: Path, minutes: bool) -> Path:
        """Writes them as CSV, with or without the minutes."""
        with file.open("w", newline="", encoding="utf-8") as sink:
            writer = csv.writer(sink)
            writer.writerow([*NAMES, *(["minutes"] if minutes else [])])
            for cells, took in zip(self.cells, self.minutes, strict=True):
                writer.writerow([*cells, *([f"{took:.1f}"] if minutes else [])])
        return file


@dataclass(frozen=True)
class Measured:
    """Mean errors of a week before it was learned: of cities that were known from the beginning, and of the new one
    (None while there is none); and what the answer says of odd rows."""

    known: float
    new: float | None
    notes: list[str]


def deliveries_by_week() -> Iterator[Week]:
    """Made-up deliveries: the way, the rush hour, the city and the parcels count; a cell in twenty is empty."""
    random = np.random.default_rng(0)
    effects = {**KNOWN, NEW: LONGER}
    for week in range(1, WEEKS + 1):
        cities = list(effects) if week >= OPENING else list(KNOWN)
        cells, minutes = list[list[str]](), list[float]()
        for _ in range(ROWS):
            city = cities[random.integers(len(cities))]
            placed = datetime(2026, 10, 5) + timedelta(weeks=week - 1, minutes=int(random.integers(7 * 24 * 60)))
            km, parcels, member = random.uniform(1, 20), random.integers(1, 6), random.random() < 0.4
            rush = 12.0 if placed.weekday() < 5 and 16 <= placed.hour < 19 else 0.0
            took = 15 + 2.5 * km + 1.5 * parcels + effects[city] + rush - 5 * member + random.normal(0, 2)
            row = [city, placed.isoformat(timespec="minutes"), f"{km:.1f}", str(parcels), str(bool(member)).lower()]
            cells.append([cell if random.random() > 0.05 or k == 0 else "" for k, cell in enumerate(row)])
            minutes.append(round(max(took, 5.0), 1))
        yield Week(cells, np.array(minutes))


def deliveries(client: Client, teller: Teller) -> None:
    """Learns files week by week, each answered before it is learned; one of them has a cell that is wrong."""
    teller.heading(
        "5  A table, and a city that is new",
        f"Made-up deliveries in CSV files: {ROWS} a week, by city, time, distance and parcels, some cells empty. How "
        f"many minutes do they take? In week {OPENING} deliveries to {NEW} begin, which the model has never seen.",
    )
    model = client.create_model("deliveries", INPUT, target=TARGET)
    measured: list[Measured] = []
    opening: Update | None = None
    with tempfile.TemporaryDirectory(prefix="tsuika-demo-") as folder:
        for number, week in enumerate(deliveries_by_week(), 1):
            if number > 1:
                measured.append(_measured(model, week, Path(folder) / "rows.csv"))
            file = week.save(Path(folder) / f"week-{number}.csv", minutes=True)
            with teller.working(file.name) as progress:
                update = model.update(file, on_progress=progress)
            if update.state != UpdateState.SUCCEEDED or update.version is None:
                raise TsuikaError(f"{file.name} was not learned: {update.error.detail if update.error else update.why}")
            if number == OPENING:
                opening = update
            if update.verdict == Verdict.HELD:
                model.promote(update.version, f"{NEW} is a new city")
        refused = _refusal(model, file)
    assert opening is not None
    _drawn(teller, measured)
    teller.verdicts([(f"week {OPENING}", opening)])
    teller.say(f"Week {OPENING}, asked before it was learned: {' '.join(measured[OPENING - 2].notes)}{_told(opening)}")
    teller.say(f"A file with a comma in a number is refused whole: {refused}")


def _measured(model: RemoteModel, week: Week, file: Path) -> Measured:
    answer = model.predict(week.save(file, minutes=False))
    assert isinstance(answer, NumberPredictions)
    errors, new = np.abs(np.array(answer.values) - week.minutes), week.new
    return Measured(float(errors[~new].mean()), float(errors[new].mean()) if new.any() else None, answer.notes)


def _told(update: Update) -> str:
    """What the report of an update says of new values."""
    new = update.report.batch.new_values if update.report else {}
    listed = [f"{one.value}, {one.rows} rows" for values in new.values() for one in values]
    return f" Its report lists the new values: {', '.join(listed)}." if listed else ""


def _refusal(model: RemoteModel, file: Path) -> str:
    """What the service says of the file once a number in it has a comma."""
    lines = file.read_text(encoding="utf-8").splitlines()
    city, placed, _, rest = lines[18].split(",", 3)
    lines[18] = f'{city},{placed},"12,5",{rest}'
    file.write_text("\n".join(lines), encoding="utf-8")
    try:
        model.update(file)
    except InvalidContent as refused:
        return refused.detail
    raise TsuikaError("A file with a comma in a number was taken.")


def _drawn(teller: Teller, measured: list[Measured]) -> None:
    """A line for the known cities and one for the new one, a block a week."""
    known, new = [m.known for m in measured], [m.new for m in measured if m.new is not None]
    top = max(*known, *new)
    what, weeks = "off by, in minutes, before it was learned", f"weeks 2 to {WEEKS}"
    gap = " " * (len(known) - len(new))
    rows = [
        [", ".join(KNOWN), line(known, top), f"{known[0]:.1f}", f"{known[-1]:.1f}"],
        [f"{NEW}, from week {OPENING} on", gap + line(new, top), f"{new[0]:.1f}", f"{new[-1]:.1f}"],
    ]
    teller.table([what, weeks, "first", "last"], rows, left=[what, weeks])
