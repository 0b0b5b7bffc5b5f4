"""The report card, and what the two clients have in common, without a service."""

from __future__ import annotations

import inspect
import subprocess
import sys
from html import unescape
from typing import Any

import pytest

from service.client import AsyncClient, AsyncModel, Client, NotLearned, Rejected, RemoteModel, Result
from service.client.blocking import finish
from service.client.kinds.classes import ClassKind
from service.client.kinds.numbers import NumberKind
from service.contract.reports.class_report import Report
from service.contract.reports.number_report import NumberReport
from service.contract.resources import Update
from service.remedies import CORRECT, DELETE_CLASS
from tests.client.test_client import an_update

REPORT: dict[str, Any] = {
    "before": None,
    "after": None,
    "old_classes": {
        "before": 0.974, "after": 0.972, "interval": [-0.01, 0.006], "masked": {"before": None, "after": None},
        "intrusion": None,
    },
    "new_classes": {"names": ["8", "9"], "after": 0.954, "interval": [0.92, 0.975]},
    "forgetting": None, "interference": "none", "worst_class": None, "negative_flips": None, "positive_flips": None,
    "yardstick": None, "batch": {"conflicts": None}, "exact": True,
    "cost": {
        "seconds": 0.2, "wait_seconds": 0, "rows": 289, "parameters_added": 0, "bytes_added": 0,
        "share_of_retraining": None,
    },
    "gate": {"outcome": "pass", "rules": [], "why": "Live: version 2. It knows 8 and 9; nothing was lost."},
}  # fmt: skip


def result(
    why: str = REPORT["gate"]["why"], verdict: str = "promoted", state: str = "succeeded", **members: Any
) -> Result:
    report = {**REPORT, "gate": {**REPORT["gate"], "why": why}}
    update = an_update(state, **{"verdict": verdict, "version": 2, "base_version": 1, "report": report, **members})
    return Result(Update.model_validate(update), "http://service/models/digits")


def test_a_result_reads_as_its_report_card() -> None:
    assert repr(result()) == (
        "● Live: version 2. It knows 8 and 9; nothing was lost.\n"
        "                   before     after\n"
        "    old classes    97.4 %    97.2 %   −0.2, within chance\n"
        "    new classes         –    95.4 %   92.0 to 97.5\n"
        '  Undo: client.model("digits").rollback("why")\n'
        "  Page: http://service/models/digits"
    )
    assert [line.name for line in ClassKind().lines(Report.model_validate(REPORT))] == ["old classes", "new classes"]
    since = {"version": 3, "rows": 95, "lost": 0.142, "p": 0.0004, "forgotten": 0.031, "newer": 4}
    for newer, said in ((4, "−14.2 on 95 rows, of which 3.1 forgotten"), (0, "−14.2 on 95 rows")):
        line = ClassKind().lines(Report.model_validate({**REPORT, "lost_since": {**since, "newer": newer}}))[1]
        assert (line.name, line.note) == ("since version 3", said)


def test_a_change_on_few_rows_is_no_figure() -> None:
    score = {"accuracy": 0.5, "balanced_accuracy": 0.5, "classes": {}}
    for rows, said in ((19, "– on 19 rows: so few show only chance"), (20, "−0.2, within chance")):
        report = {**REPORT, "before": {**score, "rows": rows}, "forgetting": 0.5}
        assert ClassKind().lines(Report.model_validate(report))[0].note == said
        card = result(report=report)
        assert said in repr(card)
        assert said in unescape(card._repr_html_())


def test_a_card_of_a_version_that_is_not_live_says_so() -> None:
    for said in (repr(result(verdict="rejected")), result(verdict="held")._repr_html_()):
        assert 'It is not live: "after" is what it would answer.' in unescape(said)
    assert "not live" not in repr(result()) + result()._repr_html_()


ERRORS = {"mae": 11, "rmse": 14, "r2": None, "median_error": 9, "bias": 0.0, "rows": 300}
TESTED = {"mae": 12.5, "rmse": 16, "r2": None, "coverage": 0.9, "level": 0.95, "rows": 1500, "batches": 5}
NUMBERS: dict[str, Any] = {
    **REPORT, **dict.fromkeys(("old_classes", "new_classes", "interference", "worst_class")),
    "tested": None, "skill": None, "before": None, "after": None, "rise": None, "batch": {},
}  # fmt: skip


def test_errors_say_which_rows_and_versions_they_are_of() -> None:
    numbers = {**NUMBERS, "rise": 0.1, "before": {**ERRORS, "mae": 10}, "after": ERRORS}
    later = NumberKind().lines(NumberReport.model_validate({**numbers, "tested": TESTED, "skill": 0.4}))
    tested = "on 1,500 rows of the last 5 batches, each answered before it was learned"
    assert later[:4] == [
        ("mean error, new rows", "12.5", "–", tested),
        ("within their interval", "90.0 %", "–", "of these new rows; 95 % is the aim"),
        ("skill", "40.0 %", "–", "less error than the model's yardstick, which is off by 20.8"),
        ("mean error", "10", "11", "on 300 trusted rows"),
    ]
    outcome = {"gate": {**NUMBERS["gate"], "outcome": "fail"}}
    stopped = NumberKind().lines(NumberReport.model_validate({**numbers, **outcome, "tested": TESTED, "skill": 0.4}))
    assert stopped == later[3:]  # what was off by far is the batch that was stopped, and no version
    several = {"numbers": [{"name": "salt", "mae": 21.9}, {"name": "heat", "mae": 0.1}]}
    members = {"before": {**ERRORS, **several}, "after": {**ERRORS, **several}, "tested": {**TESTED, **several}}
    each = NumberKind().lines(NumberReport.model_validate({**numbers, **members, "skill": None}))
    assert [line[:3] for line in each] == [
        ("new rows, salt", "21.9", "–"),
        ("new rows, heat", "0.1", "–"),
        ("within their interval", "90.0 %", "–"),
        ("mean error, salt", "21.9", "21.9"),
        ("mean error, heat", "0.1", "0.1"),
    ]
    first = NumberKind().lines(
        NumberReport.model_validate({**numbers, "tested": None, "skill": None, "rise": None, "before": None})
    )
    assert [line[1:] for line in first] == [
        ("–", "11", "on 300 rows of its own that it had not seen"),
        ("–", "14", "on 300 rows of its own that it had not seen"),
    ]


def test_an_update_prints_what_undoes_a_correction_or_a_retraction() -> None:
    made = {"batch": "bat_1", "by": "bat_2", "changed": 1, "taken_out": 0}
    taken = {"kind": "retract", "verdict": "promoted"}
    for members, undo in (
        ({**taken, "corrected": made}, 'client.model("digits").correct("bat_2", {...})'),
        ({**taken, "corrected": {**made, "changed": 0, "taken_out": 1}}, 'client.model("digits").push(rows, labels)'),
        (taken, 'client.model("digits").push(rows, labels)'),
        ({**taken, "erase": True}, None),
        ({**taken, "verdict": "held"}, None),
        ({"kind": "learn", "verdict": "promoted"}, None),
    ):
        update = result(**members).update
        assert update.undo == undo
        assert (f"undo={undo!r}" in repr(update)) == (undo is not None)


AGAIN = """client.model("digits").update(batches=['bat_1'], expect="{}")"""


def test_what_may_be_meant_is_learned_again_with_the_word_for_it() -> None:
    meant = {"expect": "relabel"}

    def step(
        report: dict[str, Any], why: str, name: str = "contradicts_class", figures: Any = meant, **members: Any
    ) -> list[str]:
        fired = {"name": name, "number": 3, "limit": 0, "value": 1, "passed": False, "severity": "held", "why": why}
        fired["figures"] = figures
        gate = {"outcome": "undecided", "rules": [fired], "why": f"Held: {why}"}
        card = result(**{"verdict": "held", "batches": ["bat_1"], "report": {**report, "gate": gate}, **members})
        return [step for called, step in card.next_steps.items() if "on purpose" in called]

    assert step(REPORT, "labels contradict") == [AGAIN.format("relabel")]
    moved = 'if they moved, learn them with "expect": "move".'
    assert step(NUMBERS, moved, figures={"expect": "move"}) == [AGAIN.format("move")]
    assert step(NUMBERS, "the unit is wrong.", figures={}) == []
    assert step(REPORT, "one label for all", figures={}) == [], "it would be held again"
    assert step(REPORT, "it forgot", name="forgets", figures={}) == []
    assert step(REPORT, "the labels look shuffled", name="unlearnable", figures={}) == [], "it would be rejected again"
    assert step(REPORT, "labels contradict", expect="relabel") == []
    assert step(REPORT, "labels contradict", verdict="superseded") == []


CORRECTED = {"batch": "bat_1", "by": "bat_2", "changed": 0, "taken_out": 0}


def test_what_undoes_a_correction_names_the_batch_that_has_the_rows_now() -> None:
    made = result(kind="retract", corrected={**CORRECTED, "changed": 2}).next_steps
    assert made["Undo"] == 'client.model("digits").correct("bat_2", {row: before}, "why")'
    assert result(kind="retract").next_steps["Undo"] == 'client.model("digits").push(rows, labels)'


def test_a_result_names_the_ways_that_there_are() -> None:
    for members, steps in [
        ({}, ["Undo", "Page"]),
        ({"base_version": None}, ["Take the rows back", "Page"]),
        ({"verdict": "rejected"}, ["Take the rows back", "Make it live all the same", "Page"]),
        ({"verdict": "held"}, ["Make it live", "Take the rows back", "Page"]),
        ({"verdict": "superseded"}, ["Learn it again", "Take the rows back", "Page"]),
        ({"verdict": None, "state": "failed"}, ["Try it again"]),
        ({"kind": "retract"}, ["Undo", "Page"]),
        ({"kind": "retract", "corrected": {**CORRECTED, "changed": 2}}, ["Undo", "Page"]),
        ({"kind": "retract", "corrected": {**CORRECTED, "taken_out": 1}}, ["Undo", "Page"]),
        (
            {"kind": "retract", "corrected": {**CORRECTED, "changed": 2, "taken_out": 1}},
            ["Undo", "Send what was taken out again", "Page"],
        ),
    ]:
        assert list(result(**members).next_steps) == steps, members


def test_of_several_batches_that_were_stopped_those_that_the_sentence_names_are_taken_back() -> None:
    part = {"batch": "bat_2", "rows": 9, "error": 9.0, "others": 1.0}
    far = [{"batch": f"bat_{k}", "row": k, "target": 9.0, "value": 1.0, "error": 8.0} for k in (4, 3, 4)]
    apart = {"parts": [{**part, "stands_out": True}]}
    together = {"parts": [{**part, "stands_out": False}]}
    for batch, called, learned, back in [
        ({**together, "outliers": far}, "Learn the others", [1, 2], [3, 4]),
        (apart, "Learn the others", [1, 3, 4], [2]),
        ({**apart, "outliers": far}, "Learn the others", [1], [2, 3, 4]),
        (together, "Learn one alone", [1], [1, 2, 3, 4]),
        ({**apart, "outliers": [*far, {**far[0], "batch": "bat_1"}]}, None, [], [1, 2, 3, 4]),
    ]:
        report = {**NUMBERS, "batch": batch}
        stopped = result(verdict="rejected", batches=[f"bat_{k}" for k in (1, 2, 3, 4)], report=report)
        steps = stopped.next_steps
        ids, taken = ([f"bat_{k}" for k in of] for of in (learned, back))
        step = {} if called is None else {called: f'client.model("digits").update(batches={ids})'}
        said = {**step, "Take the rows back": f'client.model("digits").retract({taken}, "why")'}
        of_rows = {"Rows that look wrong", "Correct them", "Make it live all the same", "Page"}
        assert {name: way for name, way in steps.items() if name not in of_rows} == said


def test_a_card_says_how_rows_that_look_wrong_are_listed_and_corrected() -> None:
    rows = [{"batch": "bat_2", "row": 17, "label": "8", "suggested": "3", "score": 0.99}]
    note = (
        f'give them the label "3" ({CORRECT(model="…", batch="bat_2")}), then ({DELETE_CLASS(model="…", name="a b")}).'
    )
    batch = {"conflicts": None, "suspect_rows": rows, "notes": [note]}
    called = 'client.model("digits")'
    steps = [
        f'  Rows that look wrong: {called}.suspects("bat_2")',
        f'  Correct them: {called}.correct("bat_2", {{17: ...}}, "why")',
    ]
    for verdict in ("promoted", "held"):
        card = result(verdict=verdict, report={**REPORT, "batch": batch})
        lines = repr(card).splitlines()
        assert [line for line in lines if "suspects" in line or "Correct" in line] == steps
        said = f'{called}.correct("bat_2", {{...}})), then ({called}.delete_class("a b")).'
        assert any(said in line for line in lines)
        assert said in unescape(card._repr_html_())
    whole = {"name": "wrong_columns", "number": 3, "limit": 0, "value": 1, "passed": False, "severity": "held"}
    gate = {"outcome": "undecided", "rules": [{**whole, "why": "columns differ"}], "why": "Held: columns differ"}
    assert "Correct them" not in result(report={**REPORT, "batch": batch, "gate": gate}).next_steps
    assert "Correct them" not in result(kind="retract", report={**REPORT, "batch": batch}).next_steps


def test_the_reason_is_the_sentence_without_the_verdict() -> None:
    for why, reason in [
        ("Live: version 2. It knows 8 and 9.", "It knows 8 and 9."),
        ("Live, but unproven: 12 rows are too few to judge it.", "12 rows are too few to judge it."),
        ("Rejected: the labels look shuffled.", "The labels look shuffled."),
        ("Held: 3 of 40: too few.", "3 of 40: too few."),
        ("Nothing to do: every batch was learned.", "Every batch was learned."),
        ("No colon.", "No colon."),
    ]:
        assert (result(why).sentence, result(why).reason) == (why, reason), why
        assert f"version=2, sentence={why!r})" in repr(result(why).update), why


def test_what_somebody_called_a_class_is_no_markup() -> None:
    shown = result('Held: "<script>" & co.', "held")._repr_html_()
    assert "<script>" not in shown
    assert "Held: &quot;&lt;script&gt;&quot; &amp; co." in shown
    assert "promote(2, " in shown


def test_rejected_and_failed_updates_are_errors_on_demand() -> None:
    assert result().raise_if_rejected().version == 2
    assert result("Held: too few.", "held").raise_if_rejected().verdict == "held"
    with pytest.raises(Rejected, match="look shuffled"):
        result("Rejected: the labels look shuffled.", "rejected").raise_if_rejected()
    for state, error in (("failed", {"title": "No space left", "detail": "Free some."}), ("cancelled", None)):
        ended = Result(Update.model_validate(an_update(state, error=error)), "")
        with pytest.raises(NotLearned, match="No space left: Free some" if error else "Cancelled"):
            ended.raise_if_rejected()


def test_both_clients_have_the_same_calls_with_the_same_parameters() -> None:
    for blocking, waiting in ((Client, AsyncClient), (RemoteModel, AsyncModel)):
        calls = {name for name in dir(waiting) if not name.startswith("_")} - {
            "aclose",
            "transport",
            "facts",
            "url",
            "name",
        }
        assert calls == {name for name in dir(blocking) if not name.startswith("_")} - {"close", "url", "name"}
        for name in calls:
            ours, theirs = getattr(blocking, name), getattr(waiting, name)
            assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters, name
            assert ours.__doc__ == theirs.__doc__


def test_a_coroutine_that_waits_for_a_loop_cannot_be_run_without_one() -> None:
    class Waits:
        def __await__(self) -> Any:
            yield

    async def work() -> None:
        await Waits()

    with pytest.raises(AssertionError, match="event loop"):
        finish(work())


def test_the_import_is_light() -> None:
    heavy = ("torch", "numpy", "pandas", "polars", "PIL", "sklearn", "river", "safetensors", "sqlalchemy", "fastapi")
    code = f"import sys, tsuika; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
