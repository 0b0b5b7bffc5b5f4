"""`tsuika compare`: which rows the figures of two versions are of."""

from __future__ import annotations

from typing import Any

from service.cli.look.compare import _on_same_rows, _rows
from service.contract.reports.class_report import Report
from service.contract.reports.number_report import NumberReport
from service.contract.version_resources import Version
from tests.client.test_result import REPORT


def version(number: int, parent: int | None, report: Report | NumberReport | None) -> Version:
    told = {"model": "digits", "number": number, "parent": parent, "live": False, "batch_count": 1, "parameters": 9}
    return Version.model_construct(**{**dict.fromkeys(Version.model_fields), **told, "report": report})


def score(accuracy: float, rows: int) -> dict[str, Any]:
    classes = {"a": {"accuracy": accuracy, "rows": rows}}
    return {"accuracy": accuracy, "balanced_accuracy": accuracy, "rows": rows, "classes": classes}


def cells(a: Version, b: Version) -> dict[str, list[str]]:
    return {str(name): [str(cell) for cell in rest] for name, *rest in _rows(a, b, _on_same_rows(a, b))}


def test_a_version_and_the_one_it_was_made_from_are_compared_on_the_same_rows() -> None:
    new = {**REPORT["new_classes"], "names": [], "classes": {}, "rows": 0}
    first, second, third = (
        version(number, number - 1, Report.model_validate({**REPORT, "new_classes": new, "before": old, "after": now}))
        for number, old, now in (
            (1, None, score(0.9, 40)),
            (2, score(0.7, 60), score(0.8, 60)),
            (3, score(0.5, 90), score(0.6, 90)),
        )
    )
    assert cells(first, second)["class a"][:2] == ["70.0 %", "80.0 %"], "not 90 % of 40 other rows"
    assert cells(second, first)["class a"][:2] == ["80.0 %", "70.0 %"]
    assert "rows that judged" not in cells(first, second)
    apart = cells(first, third)
    assert apart["class a"][:2] == ["90.0 %", "60.0 %"]
    assert apart["rows that judged"][:2] == ["40 trusted", "90 trusted"]
    assert cells(first, second)["accuracy"] == ["70.0 %", "80.0 %", "+10.0 points"], "the page's sentence is of these"
    assert {name: of[2] for name, of in apart.items() if of[2]} == {}, "no change between figures of different rows"
    assert _on_same_rows(first, version(2, 1, None)) is None


def test_errors_of_numbers_are_compared_on_the_same_rows() -> None:
    def errors(mae: float, rows: int) -> dict[str, Any]:
        return {"mae": mae, "rmse": mae, "r2": None, "median_error": mae, "bias": 0.0, "rows": rows}

    def made(number: int, before: dict[str, Any] | None, after: dict[str, Any]) -> Version:
        none = dict.fromkeys(("tested", "skill", "rise"))
        of = {**none, "batch": {}, **{name: REPORT[name] for name in ("cost", "gate", "exact")}}
        return version(number, number - 1, NumberReport.model_validate({**of, "before": before, "after": after}))

    first, second = made(1, None, errors(4.5, 400)), made(2, errors(4.6, 72), errors(3.8, 72))
    third = made(3, errors(3.5, 110), errors(3.4, 110))
    assert cells(first, second)["mean error"][:2] == ["4.60", "3.80"]
    assert cells(first, third)["rows that judged"][:2] == ["400 of its own", "110 trusted"]
