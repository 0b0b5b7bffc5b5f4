"""What the demonstration shows: its rows, its measures, its tables."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console

from service.cli.demonstration import deliveries
from service.cli.demonstration.data import NEW, OLD, Rows, digits, moved_and_darker, renumbered
from service.cli.demonstration.measure import Answers, forgetting
from service.cli.demonstration.teller import Line, Teller
from service.contract.reports.class_report import Report
from service.contract.reports.facts import Cost
from service.contract.resources import Update
from service.contract.tables import TableInput
from service.contract.targets.number_target import NumberTarget
from service.intake.formats.csv_header import Meant
from service.intake.formats.csv_table import read_csv


def answers(*rows: tuple[str, dict[str, float]]) -> Answers:
    """Pairs of (true label, scores)."""
    predicted = [max(scores, key=lambda name: scores[name]) for _, scores in rows]
    return Answers(tuple(label for label, _ in rows), predicted, [scores for _, scores in rows])


def test_no_row_kept_aside_is_ever_sent() -> None:
    sent, aside = digits()
    assert len(sent) + len(aside) == 1797
    seen = {row.tobytes() for row in sent.inputs}
    assert not any(row.tobytes() in seen for row in aside.inputs)
    assert {*sent.of(OLD).labels} == {*OLD}
    assert {*sent.of(NEW).labels} == {*NEW}


def test_the_shifted_world_is_one_pixel_to_the_right_and_darker() -> None:
    image = np.zeros((1, 8, 8))
    image[0, 3, 3] = 10
    moved = moved_and_darker(Rows(image.reshape(1, 1, 8, 8), ("1",))).inputs.reshape(8, 8)
    assert moved[3, 4] == 6
    assert moved.sum() == 6


def test_renumbered_labels_are_all_wrong() -> None:
    rows = Rows(np.zeros((2, 1, 8, 8)), ("3", "9"))
    assert renumbered(rows).labels == ("4", "0")


def test_forgetting_is_measured_among_the_old_classes_and_intrusion_beside_it() -> None:
    before = answers(("0", {"0": 0.9, "1": 0.1}), ("1", {"0": 0.2, "1": 0.8}))
    after = answers(("0", {"0": 0.3, "1": 0.1, "2": 0.6}), ("1", {"0": 0.4, "1": 0.1, "2": 0.5}))
    assert after.accuracy == 0.0
    assert after.answered_with(["2"]) == 1.0
    assert forgetting(before, after, ["0", "1"]) == 0.5
    assert after.of(["1"]).labels == ("1",)


def line(method: str, verdict: str, multiply_adds: int) -> Line:
    """A line as wide as it gets."""
    cost, report, update = (cast(Any, kind).model_construct for kind in (Cost, Report, Update))
    spent = cost(seconds=12.3, parameters_added=12_345, multiply_adds=multiply_adds)
    return Line(method, 0.994, 0.966, 0.5, 0.75, -0.0123, None, update(verdict=verdict, report=report(cost=spent)))


def test_a_table_fits_in_eighty_columns() -> None:
    sink = io.StringIO()
    teller = Teller(Console(file=sink, width=80, highlight=False), Console(file=io.StringIO()))
    teller.results([line("linear_probe", "rejected", 70), line("retrain", "promoted", 10)], "how to read it")
    header, _, first, second = (line.split() for line in sink.getvalue().splitlines()[1:5])
    assert len(header) == 10
    assert " ".join(first) == "linear_probe 99.4→96.6 50.0 75.0 −1.2 – 12.3 12,345 700 ✕ rejected"
    assert " ".join(second[-3:]) == "100 ● live"


def test_the_files_of_deliveries_are_tables_that_the_model_takes(tmp_path: Path) -> None:
    spec = TableInput.model_validate(deliveries.INPUT)
    weeks = list(deliveries.deliveries_by_week())
    assert [bool(week.new.any()) for week in weeks] == [n >= deliveries.OPENING for n in range(1, deliveries.WEEKS + 1)]
    file = weeks[-1].save(tmp_path / "week.csv", minutes=True)
    target = NumberTarget.model_validate(deliveries.TARGET)
    table = read_csv([file.read_bytes()], spec, Meant(target), "deliveries")
    np.testing.assert_array_equal(table.targets[:, 0], weeks[-1].minutes)
    assert set(table.named.names[3].values()) == {*deliveries.KNOWN, deliveries.NEW}
    assert np.isnan(table.named.rows).any(0).tolist() == [True, True, True, False, True]
