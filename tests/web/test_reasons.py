"""What the service said, in Japanese: each rule, verdict, note and choice, from the figures of a report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from service.contract.enums import Outcome, Severity, UpdateKind, Verdict
from service.contract.number_report import NumberReport
from service.contract.report import Dispute, GateReport, Report, Rule, WorstClassDrop
from service.contract.resources import Update
from service.learning import auto
from service.learning.gate.classes.class_gate import RULES
from service.learning.gate.numbers.number_gate import NUMBER_RULES
from service.web.reasons import method_sentence, note_sentences, rule_sentence, verdict_sentence
from service.web.verdicts import short
from service.web.words import LANGUAGES, Words
from tests.client.test_result import REPORT

JA = Words("ja")
NUMBERS: dict[str, Any] = {
    **dict.fromkeys(("tested", "skill", "before", "after", "rise")),
    "batch": {},
    **{name: REPORT[name] for name in ("cost", "gate", "exact")},
}
OF = {Report: (REPORT, RULES), NumberReport: (NUMBERS, NUMBER_RULES)}


def rule(name: str, passed: bool | None = False, severity: Severity | None = Severity.REJECTED, **of: Any) -> Rule:
    facts = {"number": 1, "value": 0.25, "limit": 0.02, "why": f"The {name} sentence of the gate, in English.", **of}
    return Rule(name=name, passed=passed, severity=severity, **facts)


def report(kind: type[Report] | type[NumberReport] = Report, fires: Rule | None = None, **members: Any) -> Any:
    made = kind.model_validate({**OF[kind][0], **members})
    outcome = Outcome.PASS if fires is None else Outcome.FAIL
    gate = GateReport(outcome=outcome, rules=[fires] if fires else [], why=fires.why if fires else "Fine.")
    return made.model_copy(update={"gate": gate})


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
@pytest.mark.parametrize("kind", OF)
def test_every_rule_has_a_sentence_however_it_ends(kind: type[Report], language: str) -> None:
    words, rules = Words(language), OF[kind][1]
    for _, name, _ in rules:
        ends = [rule(name, severity=severity) for severity in Severity]
        ends += [rule(name, value=None), rule(name, True, None), rule(name, True, None, value=None), rule(name, None)]
        for ended in ends:
            said = rule_sentence(ended, 2, report(kind), words)
            assert said.isascii() is False, (name, said)
            assert ended.why not in said
            assert "{" not in said


def test_a_rule_speaks_of_targets_where_these_are_numbers() -> None:
    fires, words = rule("unlearnable"), Words("en")
    assert short(Verdict.REJECTED, report(fires=fires), words) == "rejected: labels follow no rule"
    assert short(Verdict.REJECTED, report(NumberReport, fires), words) == "rejected: targets follow no rule"


def test_the_figures_are_those_of_the_report() -> None:
    batch = {"conflicts": 1088, "familiar": 1208, "expected": 0.05}
    shuffled = report(fires=rule("unlearnable"), batch=batch)
    said = verdict_sentence(Verdict.REJECTED, 3, 2, shuffled, JA)
    assert said.startswith("不採用：ラベルが入れ替わっているようです。1,208 行中 1,088 行がバージョン 2 と食い違い")
    assert said.endswith("公開中のバージョン 2 はそのままです。")
    disputed = report(batch={**batch, "disputes": [Dispute(class_="8", suggested="<3>", rows=14, source=None)]})
    said = rule_sentence(rule("contradicts_class", severity=Severity.HELD), 7, disputed, JA)
    assert all(part in said for part in ("「8」", "25.0", "「<3>」"))
    drop = WorstClassDrop(name="3", drop=0.25)
    assert "3 が 25.0 ポイント" in rule_sentence(rule("worst_class"), 7, report(worst_class=drop), JA)
    other = rule_sentence(rule("worst_class", value=0.1), 7, report(worst_class=drop), JA)
    assert "ひとつのクラスか出所が 10.0 ポイント" in other
    held = rule_sentence(rule("forgets", severity=Severity.HELD), 7, report(), JA)
    assert held.startswith("忘れたおそれがあります。")


def test_every_verdict_has_a_sentence() -> None:
    fires = rule("forgets")
    for kind in OF:
        for verdict in Verdict:
            for of in (
                report(kind),
                report(kind, fires),
                report(kind).model_copy(update={"gate": GateReport(outcome=Outcome.PASS, rules=[], unproven=True)}),
            ):
                for base in (None, 2):
                    said = verdict_sentence(verdict, 3, base, of, JA)
                    assert said
                    assert not said.isascii()
    assert verdict_sentence(Verdict.HELD, 8, 7, report(), JA).startswith("確認待ち：バージョン 8")
    assert "バージョン 7 が公開中でなくなりました" in verdict_sentence(Verdict.SUPERSEDED, 8, 7, report(), JA)
    gained = verdict_sentence(Verdict.PROMOTED, 2, 1, report(before=SCORE), JA)
    assert gained.startswith(
        "バージョン 2 を公開しました。「8」 と 「9」 を覚えました。これまでのクラスの変化は誤差の範囲です"
    )
    assert gained.endswith("（97.4 → 97.2\N{NO-BREAK SPACE}%、確認用の 1,180 行）。")


SCORE = {"accuracy": 0.974, "balanced_accuracy": 0.97, "rows": 1180, "classes": {}}


def test_in_english_the_gate_speaks_for_itself() -> None:
    fires = rule("forgets")
    assert verdict_sentence(Verdict.REJECTED, 3, 2, report(fires=fires), Words("en")) == fires.why
    assert rule_sentence(fires, 2, report(fires=fires), Words("en")) == fires.why
    unknown = rule("of_tomorrow")
    assert rule_sentence(unknown, 2, report(), JA) == unknown.why
    assert verdict_sentence(None, 1, None, None, JA) == ""


def test_notes_are_told_from_the_figures() -> None:
    batch = {"unlabelled": 7, "near_duplicates": 1200, "reconcilable": True, "unfamiliar_share": 0.42}
    new = {"city": [{"value": "Osakka", "rows": 3, "near": ["Osaka"]}, {"value": "Kobe", "rows": 9}]}
    noted = report(batch={"conflicts": 1, **batch, "new_values": new, "notes": ["In English."]}, notes=["This too."])
    said = note_sentences(noted, JA)
    beginnings = (
        "ラベルのない行が 7 行",
        "新しい値のうち 1 個",
        "1,200 行がほかの行",
        "入力がこれまでと違い",
        "行の 42 % が",
    )
    assert len(said) == len(beginnings)
    assert all(map(str.startswith, said, beginnings))
    assert note_sentences(noted, Words("en")) == ["This too.", "In English."]
    assert note_sentences(report(NumberReport, batch={"follows": 3}), JA)[0].startswith("直前に止められた 3 個")


@pytest.mark.parametrize("name", re.findall(r'"name": "(\w+)"', Path(auto.__file__).read_text()))
def test_each_method_that_is_chosen_has_a_reason(name: str) -> None:
    facts = dict.fromkeys(Update.model_fields)
    chosen = {"kind": "learn", "requested_method": {"name": "auto"}, "method": {"name": name}, "why": "auto: so."}
    update = Update.model_construct(**{**facts, **chosen})
    assert name in method_sentence(update, None, JA)
    assert method_sentence(update, None, Words("en")) == "auto: so."
    asked = update.model_copy(update={"requested_method": {"name": name}})
    assert method_sentence(asked, None, JA) == ""
    back = update.model_copy(update={"kind": UpdateKind.RETRACT})
    assert method_sentence(back, report(), JA).isascii() is False
