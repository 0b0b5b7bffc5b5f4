"""What the page of a stopped version proposes, in which order, and in which unit it says what rules measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.contract.enums import Outcome, Severity, Verdict
from service.contract.reports import AnyReport
from service.contract.reports.class_report import Report
from service.contract.reports.facts import WHOLE, GateReport
from service.contract.reports.number_report import NumberReport
from service.contract.resources import Model
from service.contract.targets.class_target import ClassTarget
from service.contract.version_resources import Version
from service.learning.gate.classes.class_gate import RULES as CLASS_RULES
from service.learning.gate.gate import Finding, decided
from service.learning.gate.numbers.number_gate import NUMBER_RULES
from service.web.kinds import KINDS
from service.web.pages.docs import RULES
from service.web.pages.versions.next_steps import Stopped, next_steps
from service.web.pages.versions.version import _unjudged
from service.web.reports.reasons import rule_sentence
from service.web.reports.verdicts import bound, measured
from service.web.words import LANGUAGES, Words
from tests.web.test_reasons import report, rule

BATCH, ROWS = "bat_1", 31
EXCUSED = ("contradicts_everything", "contradicts_class", "disagrees_broadly")
EN = Words("en")


def stopped(name: str, verdict: Verdict, expect: str = "relabel", **members: Any) -> list[tuple[str, str]]:
    """What is proposed where that rule decided: the last part of the address and the button. expect: what would explain
    what the rules 2-4 found."""
    severity = Severity.HELD if verdict is Verdict.HELD else Severity.REJECTED
    figures = {"expect": expect} if expect and name in EXCUSED else {}
    made = report(fires=rule(name, severity=severity, figures=figures))
    made = made.model_copy(update={"gate": made.gate.model_copy(update={"outcome": Outcome.FAIL}), **members})
    of = _stopped(made, verdict)
    return [(step.to.partition("?")[0].rpartition("/")[2], step.label) for step in next_steps(of, EN)]


def _stopped(made: AnyReport, verdict: Verdict, **members: Any) -> Stopped:
    """Version 3 of a model that answers with version 2."""
    told: dict[str, Any] = {"name": "wine", "live_version": 2, "target": ClassTarget(kind="class")}
    model = Model.model_construct(**{**dict.fromkeys(Model.model_fields), **told})
    version = Version.model_construct(**{**dict.fromkeys(Version.model_fields), "number": 3, "report": made})
    return replace(Stopped(model, version, verdict, [(BATCH, True)], [], False, ROWS), **members)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_step_has_words(language: str) -> None:
    for name in RULES:
        for verdict in (Verdict.HELD, Verdict.REJECTED, Verdict.SUPERSEDED):
            of = _stopped(report(fires=rule(name)), verdict, others=[BATCH], outdated=True)
            assert all(step.when and step.label for step in next_steps(of, Words(language)))


def test_what_is_rejected_for_its_rows_is_taken_back_first_and_made_live_last() -> None:
    assert stopped("contradicts_everything", Verdict.REJECTED) == [
        ("retract", "Take it back…"),
        (BATCH, f"Look at batch {BATCH}"),
        ("learn", "Learn it again: labels changed on purpose"),
        ("promote", "Make it live…"),
    ]
    for verdict in (Verdict.HELD, Verdict.SUPERSEDED):
        of = _stopped(report(fires=rule("wrong_columns", severity=Severity.HELD)), verdict, outdated=True)
        steps = [step.to.rpartition("/")[2] for step in next_steps(of, EN)]
        assert (steps[0], steps[-2:]) == ("retract", ["promote", "promote"]), (
            "rows at fault are not learned again first"
        )
    assert [at for at, _ in stopped("forgets", Verdict.REJECTED)] == [BATCH, "send", "retract", "promote"]


@pytest.mark.parametrize(("doubtful", "some"), [(0, False), (1, True), (10, True), (11, False), (31, False)])
def test_rows_are_corrected_one_by_one_where_few_are_doubtful_and_the_file_is_not_at_fault(
    doubtful: int, some: bool
) -> None:
    row = {"batch": BATCH, "label": "a", "suggested": "b", "score": 0.9}
    batch = {"conflicts": 1, "suspect_rows": [{**row, "row": k} for k in range(doubtful)]}
    for name in ("contradicts_everything", "contradicts_class", "forgets", *WHOLE):
        made = report(fires=rule(name), batch=batch)
        steps = [step.to.rpartition("/")[2] for step in next_steps(_stopped(made, Verdict.REJECTED), EN)]
        assert ("correct?suspects=on" in steps) is (some and name not in WHOLE), name


def test_doubtful_rows_are_counted_as_the_page_of_their_batch_lists_them() -> None:
    row = {"batch": BATCH, "row": 1, "label": "a", "suggested": "b", "score": 0.9}
    listed = [row, {**row, "row": 2}, {**row, "suggested": "c"}, {**row, "batch": "bat_0", "row": 3}]
    made = report(fires=rule("forgets"), batch={"conflicts": 1, "suspect_rows": listed})
    labels = [step.label for step in next_steps(_stopped(made, Verdict.REJECTED), EN)]
    assert "Correct the 2 doubtful rows…" in labels


def test_what_only_a_person_can_tell_begins_with_the_rows() -> None:
    assert [at for at, _ in stopped("contradicts_class", Verdict.HELD)] == [BATCH, "learn", "promote", "retract"]
    assert [at for at, _ in stopped("contradicts_class", Verdict.HELD, "")] == [BATCH, "promote", "retract"]


def test_an_open_dispute_is_settled_after_a_look_at_the_rows() -> None:
    at = "/models/wine/disputes/dsp_1"
    for verdict in (Verdict.HELD, Verdict.REJECTED):
        for name in ("contradicts_class", "contradicts_everything", "forgets"):
            steps = next_steps(_stopped(report(fires=rule(name)), verdict, open_dispute=at), EN)
            links = [step.to for step in steps]
            assert links.index(f"/models/wine/batches/{BATCH}") < links.index(at), name
            assert links.count(at) == 1


def test_a_first_version_that_learned_nothing_asks_whether_the_right_column_is_predicted() -> None:
    made = report(fires=rule("first_version", severity=Severity.HELD))
    steps = next_steps(_stopped(made, Verdict.HELD), EN)
    assert [step.to.rpartition("/")[2] for step in steps] == [BATCH, "new", "promote", "retract"]
    assert "is the right column predicted" in steps[0].when


@pytest.mark.parametrize("verdict", [Verdict.HELD, Verdict.REJECTED, Verdict.SUPERSEDED])
def test_what_would_be_refused_is_not_proposed(verdict: Verdict) -> None:
    for made in (report(), *(report(fires=rule(name)) for name in RULES)):
        steps = [step.to.rpartition("/")[2] for step in next_steps(_stopped(made, verdict), EN)]
        barred = [step.to.rpartition("/")[2] for step in next_steps(_stopped(made, verdict, barred=True), EN)]
        assert "promote" in steps
        assert barred == [step for step in steps if step != "promote"]


def test_labels_that_were_found_wrong_are_taken_back_and_not_learned_again() -> None:
    held = report(fires=rule("contradicts_class", severity=Severity.HELD))
    of = _stopped(held, Verdict.HELD, outdated=True, others=["bat_2"], refuted="dsp_1")
    assert [step.to.rpartition("/")[2] for step in next_steps(of, EN)] == ["retract", BATCH]
    several = replace(of, batches=[(BATCH, True), ("bat_2", True)])
    assert [step.to for step in next_steps(several, EN)] == ["/models/wine/disputes/dsp_1"]


def test_what_passed_every_check_is_made_live_first() -> None:
    steps = next_steps(_stopped(report(), Verdict.HELD), EN)
    assert [step.to.rpartition("/")[2] for step in steps] == ["promote", "retract"]


def test_every_rule_has_a_unit_and_a_place_among_the_docs() -> None:
    assert {name: number for number, name, _ in (*CLASS_RULES, *NUMBER_RULES)} | {"sound": 11} == RULES
    for kind, rules in (("class", CLASS_RULES), ("number", NUMBER_RULES)):
        assert {name for _, name, _ in rules} - {"sound"} == {*KINDS[kind].units}
    for language in LANGUAGES:
        words = Words(language)
        assert all(f"gate.{part}.{name}" in words for part in ("means", "do") for name in (*RULES, *Verdict))


def test_values_and_limits_have_their_unit() -> None:
    def shown(of: Any, name: str, figure: float | None) -> str:
        return measured(figure, rule(name), report(of), EN)

    assert shown(Report, "forgets", 0.584) == "58.4 points"
    assert shown(Report, "contradicts_class", 1.0) == "100.0\N{NO-BREAK SPACE}%"
    assert shown(Report, "contradicts_class", 2.89) == "–"
    assert shown(Report, "first_version", 0.01) == "p = 0.01"
    assert shown(Report, "first_version", 0.0) == "p = less than 0.001"
    assert shown(NumberReport, "unlearnable", 0.951) == "0.951 (rank correlation)"
    assert shown(NumberReport, "contradicts_everything", 16.5) == "16.5 times"
    assert shown(NumberReport, "forgets", 0.1) == "10.0\N{NO-BREAK SPACE}%"
    assert shown(NumberReport, "sound", None) == "–"


def test_nobody_is_told_to_promote_what_another_rule_rejects() -> None:
    held = Finding("It lost a little.", 0.1, 0.04, Severity.HELD, "Promote it.")
    rejected = Finding("It forgot.", 0.5, 0.02, Severity.REJECTED, "Look at the rows.")
    both = decided({(5, "forgets"): rejected, (9, "slow_loss"): held}, 2, False)
    assert [of.why for of in both.rules] == ["It forgot. Look at the rows.", "It lost a little."]
    assert "Promote it." in decided({(9, "slow_loss"): held}, 2, False).why
    japanese = Words("ja")
    slow = rule("slow_loss", severity=Severity.HELD, figures={"version": 1})
    for outcome, says in ((Outcome.UNDECIDED, True), (Outcome.FAIL, False)):
        made = report(fires=slow)
        made = made.model_copy(update={"gate": GateReport(outcome=outcome, rules=[slow], why=slow.why)})
        assert ("公開してください" in rule_sentence(slow, 2, made, japanese)) is says


HELD_SLOW = [
    (
        Report,
        {"since": 1},
        "おもにこの更新によるものです。",
        "その行を見るか、バッチを取り消すか、これを公開してください。",
    ),
    (
        Report,
        {"version": 1, "lost": 0.03},
        "この更新の前からのものです。",
        "バージョン 1 に戻すか、これを公開してください。",
    ),
    (
        Report,
        {"version": 1, "lost": 0.03, "lacks": ["8"]},
        "うち 3.0 ポイントはこの更新の前からのものです。",
        "バージョン 1 に戻すか（「8」は答えられなくなります）、これを公開してください。",
    ),
    (
        Report,
        {"since": 1, "from": 1, "classes": ["8"], "rows": 19, "newly": 1, "lead_before": 1.1, "lead": 0.62},
        "「8」の 19 行のうち 1 行を新たに間違え、どの行も見分けがつきにくくなりました"
        "（正解と次点との差の中央値が、通常の 110 % から 62 % に縮みました）。",
        "その行を見るか、バッチを取り消すか、これを公開してください。",
    ),
    (NumberReport, {"since": 1}, "おもにこの更新によるものです。", "その行を見るか、バッチを取り消すか、これを公開"),
    (NumberReport, {"version": 1, "lost": 0.03}, "この更新の前からのものです。", "バージョン 1 に戻すか、これを公開"),
]


@pytest.mark.parametrize(("kind", "figures", "found", "remedy"), HELD_SLOW)
def test_in_japanese_too_a_loss_is_told_without_a_remedy_where_another_rule_decides(
    kind: type[AnyReport], figures: dict[str, Any], found: str, remedy: str
) -> None:
    japanese = Words("ja")
    slow = rule("slow_loss", severity=Severity.HELD, figures=figures)
    forgets, columns = rule("forgets"), rule("wrong_columns", number=13, severity=Severity.HELD)
    passes = rule("wrong_columns", True, None, number=13)
    for others, outcome, says in (
        ([], Outcome.UNDECIDED, True),
        ([passes], Outcome.UNDECIDED, True),
        ([forgets], Outcome.FAIL, False),
        ([columns], Outcome.UNDECIDED, False),
        ([forgets, columns], Outcome.FAIL, False),
    ):
        gate = GateReport(outcome=outcome, rules=[slow, *others], why=slow.why)
        made = report(kind, slow).model_copy(update={"gate": gate})
        said = rule_sentence(slow, 2, made, japanese)
        assert found in said
        assert ((remedy in said), ("公開してください" in said)) == (says, says), said
        if columns in others:
            assert "公開してください" in rule_sentence(columns, 2, made, japanese), "rule 13 says what helps"


def test_a_limit_says_on_which_side_of_it_a_version_is_stopped() -> None:
    """A chance of 100 % passes a limit of 0.1 %: those below it are stopped."""
    outliers = rule("outliers", True, None, value=1.0, limit=0.001)
    assert bound(outliers, report(NumberReport), EN) == "below p = 0.001"
    assert bound(rule("contradicts_class", limit=0.304), report(), EN) == "above 30.4\N{NO-BREAK SPACE}%"
    assert bound(rule("contradicts_class", limit=None), report(), EN) == "–"


@pytest.mark.parametrize(
    ("unit", "value", "limit", "shown", "side"),
    [
        ("chance", 0.02, 0.05, "p = 0.02", "below p = 0.05"),
        ("percent", 0.41, 0.3, "41.0\N{NO-BREAK SPACE}%", "above 30.0\N{NO-BREAK SPACE}%"),
        ("correlation", 0.21, 0.4, "0.21 (rank correlation)", "below 0.4 (rank correlation)"),
        ("repaired", 0.25, 1.5, "0.25 times", "below 1.50 times"),
        ("usual_errors", 6.5, 2.0, "6.50 usual errors", "above 2 usual errors"),
        ("standard_errors", 7.0, 5.0, "7 standard errors", "above 5 standard errors"),
    ],
)
def test_a_rule_that_looks_at_several_things_names_the_unit_of_what_it_found(
    unit: str, value: float, limit: float, shown: str, side: str
) -> None:
    found = rule("disagrees_broadly", value=value, limit=limit).model_copy(update={"figures": {"unit": unit}})
    of = report(NumberReport)
    assert (measured(value, found, of, EN), bound(found, of, EN)) == (shown, side)
    assert f"version.unit.{unit}" in Words("ja") or unit == "percent"


def test_of_many_classes_that_no_row_judges_the_first_are_named_once() -> None:
    names = [f"c{k}" for k in range(990)]
    said = "No rows judge 989 of its 990 classes yet: c1, c2, c3, c4, c5 and 984 more."
    assert _unjudged(names, {"c0"}, EN) == said
    assert "989 クラス" in _unjudged(names, {"c0"}, Words("ja"))
    assert _unjudged(names[:3], {"c0"}, EN) == "No rows judge 2 of its classes yet: c1 and c2."
    assert _unjudged(names, names, EN) == ""
