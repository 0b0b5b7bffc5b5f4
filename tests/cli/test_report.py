"""`tsuika report`: what it prints of a report."""

from __future__ import annotations

import pytest

from service.cli.look.report import _print
from service.cli.output import stdout
from service.cli.verdicts import print_update
from service.contract.reports.class_report import Report
from service.contract.version_resources import Version
from service.remedies import CORRECT
from tests.client.test_result import REPORT, result


def test_of_many_classes_that_no_row_judges_the_first_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report.model_validate({**REPORT, "new_classes": {**REPORT["new_classes"], "classes": {}}})
    told = {"model": "digits", "number": 2, "live": True, "report": report, "classes": [f"c{k}" for k in range(990)]}
    _print(stdout(), Version.model_construct(**{**dict.fromkeys(Version.model_fields), **told}), None)
    printed = capsys.readouterr().out
    assert "No row judges these classes yet: c0, c1, c2, c3, c4, c5, c6, c7 and 982 more." in printed.replace("\n", " ")


def test_what_is_typed_names_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    note = f"Give them another label ({CORRECT(model='…', batch='bat_1')})."
    report = Report.model_validate({**REPORT, "notes": [note]})
    told = {"model": "digits", "number": 2, "live": True, "report": report, "classes": ["a"]}
    _print(stdout(), Version.model_construct(**{**dict.fromkeys(Version.model_fields), **told}), None)
    assert "(tsuika correct digits bat_1)" in capsys.readouterr().out.replace("\n", " ")


def test_a_class_that_no_row_judges_is_named_and_a_change_on_few_rows_is_no_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    score = {"accuracy": 1.0, "balanced_accuracy": 1.0, "rows": 2, "classes": {"a": {"accuracy": 1.0, "rows": 2}}}
    report = Report.model_validate({**REPORT, "before": score, "after": score})
    told = {"model": "digits", "number": 2, "live": True, "report": report, "classes": ["a", "b"]}
    _print(stdout(), Version.model_construct(**{**dict.fromkeys(Version.model_fields), **told}), None)
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert printed.count("No row judges these classes yet: b.") == 1
    [judged] = [line for line in lines if line[:1] == ["a"]]
    assert judged[-1] == "2"
    assert any(" ".join(line).endswith("– on 2 rows: so few show only chance") for line in lines)


def test_what_was_said_of_a_file_before_it_was_sent_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    said = 'Letters are read as Windows-1252, as in "Köln"; if that is wrong, say another encoding.'
    report = {**REPORT, "notes": [said, "Another note."]}
    print_update("push", result(report=report).update, False, said=said)
    printed = capsys.readouterr().out
    assert ("Another note." in printed, "Windows-1252" in printed) == (True, False)
    print_update("learn", result(report=report).update, False)
    assert "Windows-1252" in capsys.readouterr().out


def test_the_proof_of_a_retraction_says_where_it_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    made = result().update
    assert made.report is not None
    taken = made.model_copy(update={"kind": "retract", "report": made.report.model_copy(update={"exact": True})})
    print_update("retract", taken, False)
    said = "Proof, in the folder of the service or with its TSUIKA_DATA: tsuika verify"
    assert said in " ".join(capsys.readouterr().out.split())
