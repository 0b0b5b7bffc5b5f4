"""What the service said, in Japanese: each rule, verdict, note and choice, from the figures of a report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.contract.enums import Outcome, Severity, UpdateKind, Verdict
from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.reports.class_report import ClassEvidence, Dispute, Report, WorstClassDrop
from service.contract.reports.facts import BESIDE_SETTINGS, BY_CHANCE, MOVE, Certificate, GateReport, Rule
from service.contract.reports.number_report import NumberReport
from service.contract.resources import Update
from service.learning import auto
from service.learning.evaluation.context import OTHER_SETTINGS
from service.learning.gate.classes.class_gate import RULES, judge
from service.learning.gate.classes.class_measurements import (
    Contradiction,
    First,
    Group,
    Harm,
    Likeness,
    Measured,
    NewClass,
    Since,
)
from service.learning.gate.numbers.number_gate import NUMBER_RULES, judge_numbers
from service.learning.gate.numbers.number_measurements import (
    BatchFigures,
    Beside,
    Commonest,
    NumberMeasured,
    OneNumber,
    Outlying,
    OwnOrder,
    Region,
    Repair,
    Rise,
)
from service.learning.gate.numbers.number_rules import NEW_SOURCE
from service.learning.gate.verdicts import promoted
from service.learning.gate.verdicts import verdict_sentence as verdict_of
from service.learning.gate.wrong_columns import ColumnSlips
from service.learning.statistics import Agreement, Paired
from service.learning.training.learner import FROM_SCRATCH
from service.web.kinds import kind_of
from service.web.reports.reasons import (
    found_sentence,
    method_sentence,
    note_sentences,
    rule_sentence,
    verdict_sentence,
)
from service.web.reports.verdicts import short, within_chance
from service.web.words import LANGUAGES, Words
from tests.client.test_result import REPORT

JA, POLICY = Words("ja"), GatePolicy()
NUMBERS: dict[str, Any] = {
    **dict.fromkeys(("tested", "skill", "before", "after", "rise")),
    "batch": {},
    **{name: REPORT[name] for name in ("cost", "gate", "exact")},
}
OF = {Report: (REPORT, RULES), NumberReport: (NUMBERS, NUMBER_RULES)}


def rule(name: str, passed: bool | None = False, severity: Severity | None = Severity.REJECTED, **of: Any) -> Rule:
    facts = {"number": 5, "value": 0.25, "limit": 0.02, "why": f"The {name} sentence of the gate, in English.", **of}
    return Rule(name=name, passed=passed, severity=severity, **facts)


def report(kind: type[Report] | type[NumberReport] = Report, fires: Rule | None = None, **members: Any) -> Any:
    made = kind.model_validate({**OF[kind][0], **members})
    outcome = Outcome.PASS if fires is None else Outcome.FAIL
    gate = GateReport(outcome=outcome, rules=[fires] if fires else [], why=fires.why if fires else "Fine.")
    return made.model_copy(update={"gate": gate})


def test_every_rule_has_a_sentence_however_it_ends() -> None:
    for language in [language for language in LANGUAGES if language != "en"]:
        for kind in OF:
            words, rules = Words(language), OF[kind][1]
            for _, name, _ in rules:
                ends = [rule(name, severity=severity) for severity in Severity]
                ends += [
                    rule(name, value=None),
                    rule(name, True, None),
                    rule(name, True, None, value=None),
                    rule(name, None),
                ]
                for ended in ends:
                    said = rule_sentence(ended, 2, report(kind), words)
                    assert said.isascii() is False, (name, said)
                    assert ended.why not in said
                    assert "{" not in said


def test_a_version_from_which_everything_was_taken_back_says_that_it_answers_nothing() -> None:
    none: dict[str, Any] = {"feature_space": None, "ledger_digest": None, "removed": [], "shards": [], "decided": []}
    proof = Certificate(**none, rows=0, exact=True, torch="2", threads=1, seed=0)
    for kind in OF:
        made = report(kind)
        left = made.model_copy(update={"certificate": proof, "cost": made.cost.model_copy(update={"rows": 0})})
        assert promoted(left, 2).endswith("Nothing that was learned is left, so it answers nothing until rows come.")
        assert "何も残っていないため" in verdict_sentence(Verdict.PROMOTED, 2, 1, left, JA)


def test_the_batch_and_the_row_that_stand_out_are_named_in_each_language() -> None:
    part = {"batch": "bat_2", "rows": 80, "error": 0.9, "others": 0.03}
    row = {"batch": "bat_2", "row": 40, "target": 1190.0, "value": 118.0, "error": 1072.0}
    for kind, figures in (
        (Report, ("90.0\N{NO-BREAK SPACE}%", "3.0\N{NO-BREAK SPACE}%")),
        (NumberReport, ("0.9", "0.03")),
    ):
        for apart, says in ((True, ("bat_2 が目立ちます", "80 行", *figures)), (False, ("1 個ずつ学習すれば",))):
            outliers = {"outliers": [row, {**row, "error": 9.0}]} if kind is NumberReport else {}
            batch = {**OF[kind][0]["batch"], "parts": [{**part, "stands_out": apart}], **outliers}
            made = report(kind, rule("forgets"), batch=batch)
            spoken = verdict_sentence(Verdict.REJECTED, 3, 2, made, JA)
            assert all(said in spoken for said in says), spoken
            why = verdict_of(made, Verdict.REJECTED, 3, 2)
            assert ("Of its batches bat_2 stands out" in why) == apart
            says_far = "Row 40 (counted from 0) of bat_2 says 1,190 where 118 was expected."
            waits = f"{says_far} The batch waits, and is learned with all"
            assert (waits in why, "学習待ちのままで" in spoken) == (kind is NumberReport,) * 2
            assert "waits" not in verdict_of(made, Verdict.HELD, 3, 2)
            whole = report(kind, rule("unlearnable", number=1), batch=batch)
            assert "Row 40" not in verdict_of(whole, Verdict.REJECTED, 3, 2), "no single row is why"
            assert "学習待ちのままで" not in verdict_sentence(Verdict.REJECTED, 3, 2, whole, JA)
            before = report(kind, rule("forgets"), batch={**batch, "stopped_alone": ["bat_1", "bat_3"]})
            assert "bat_1 and bat_3 were stopped alone before. Learn any others without them" in verdict_of(
                before, Verdict.HELD, 3, 2
            )
            assert "2 個（bat_1" in verdict_sentence(Verdict.HELD, 3, 2, before, JA).replace("\N{NO-BREAK SPACE}", " ")
    assert note_sentences(made, JA)[0] == "行 40（0 から数えて）の目標値は 1,190 ですが、予想は 118 です。"


@pytest.mark.parametrize(
    ("rise", "limit", "said", "spoken"),
    [
        (0.2, 0.3, "rose by 20.0 %, which is allowed (1 → 1.20 on 300 trusted rows).", "増加は許容の範囲です"),
        (0.4, 0.3, "rose by 40.0 % (1 → 1.40 on", "平均誤差は増えました"),
        (11.097, None, "rose to 12.1 times what they were (1 → 12.1 on", "平均誤差は増えました"),
    ],
)
def test_errors_that_rose_are_said_to_be_allowed_within_the_limit_alone(
    rise: float, limit: float | None, said: str, spoken: str
) -> None:
    errors = {"mae": 1.0, "rmse": 1, "r2": None, "median_error": 1, "bias": 0.0, "rows": 300}
    made = report(
        NumberReport, before=errors, after={**errors, "mae": 1 + rise}, rise=rise, rise_interval=(rise / 2, 2 * rise)
    )
    gate = made.gate.model_copy(update={"rules": [rule("forgets", True, None, limit=limit)]})
    made = made.model_copy(update={"gate": gate})
    assert f"Errors on old rows {said}" in promoted(made, 3)
    assert spoken in verdict_sentence(Verdict.PROMOTED, 3, 2, made, JA)


def test_a_rule_speaks_of_targets_where_these_are_numbers() -> None:
    fires, words = rule("unlearnable"), Words("en")
    assert short(Verdict.REJECTED, report(fires=fires), words) == "rejected: labels follow no rule"
    assert short(Verdict.REJECTED, report(NumberReport, fires), words) == "rejected: targets follow no rule"


def test_a_wrong_unit_is_said_of_its_number_with_what_mends_it() -> None:
    numbers = [{"name": name, "mae": 1.0} for name in ("salt", "heat")]
    after = {"mae": 1, "rmse": 1, "r2": None, "median_error": 1, "bias": 0.0, "rows": 300, "numbers": numbers}
    fires = rule("wrong_unit", why='All 40 targets of "heat" look 1,000 times too large.')
    for factor, said in [
        ("/ 1,000", "「heat」：値の単位が違うようです。1,000 で割ればバージョン 2 の予想に合います。"),
        ("* 10", "10 を掛ければ"),
        ("* -1", "符号を逆にすれば"),
        ("°C to °F", "華氏に直せば"),
        ("20 - target", "20 から引けば"),
        (None, "。直せば"),
    ]:
        assert said in rule_sentence(fires, 2, report(NumberReport, after=after, batch={"factor": factor}), JA), factor


def test_the_figures_are_those_of_the_report() -> None:
    batch = {"conflicts": 1088, "familiar": 1208, "expected": 0.05}
    shuffled = report(fires=rule("unlearnable", number=1), batch=batch)
    said = verdict_sentence(Verdict.REJECTED, 3, 2, shuffled, JA)
    assert said.startswith("不採用：ラベルが入れ替わっているようです。1,208 行中 1,088 行がバージョン 2 と食い違い")
    assert said.endswith("公開中のバージョン 2 はそのままです。")
    disputed = report(batch={**batch, "disputes": [Dispute(class_="8", suggested="<3>", rows=14, source=None)]})
    said = rule_sentence(rule("contradicts_class", severity=Severity.HELD), 7, disputed, JA)
    assert all(part in said for part in ("「8」", "25.0", "「<3>」"))
    lasts = {"since": 4, "rows": 30, "conflicts": 13, "class": "8", "label": "3"}
    said = rule_sentence(rule("contradicts_class", severity=Severity.HELD, figures=lasts), 7, report(), JA)
    assert said.startswith(
        "バージョン 4 から、公開中のバージョンが「8」と強く判断した 30 行中 13 行のラベルが「3」です。"
    )
    assert "バージョン 4 に戻して" in said
    drop = WorstClassDrop(name="3", drop=0.25)
    assert "「3」が 25.0 ポイント" in rule_sentence(rule("worst_class"), 7, report(worst_class=drop), JA)
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
    why = verdict_of(report(), Verdict.SUPERSEDED, 8, 7, live=6)
    moved = report().model_copy(update={"gate": GateReport(outcome=Outcome.PASS, rules=[], why=why)})
    assert why.endswith("Learn it again on version 6.")
    assert verdict_sentence(Verdict.SUPERSEDED, 8, 7, moved, JA).endswith("バージョン 6 の上で学習し直してください。")
    gained = verdict_sentence(Verdict.PROMOTED, 2, 1, report(before=SCORE), JA)
    assert gained.startswith(
        "バージョン 2 を公開しました。「8」 と 「9」を覚え、これまでのクラスの低下は誤差の範囲です"
    )
    assert gained.endswith("（97.4 → 97.2\N{NO-BREAK SPACE}%、確認用の 1,180 行）。")


def judged(measured: Measured, verdict: Verdict, worst: WorstClassDrop | None = None) -> str:
    """What a Japanese page says of what the gate found, after its report was stored and read."""
    gate = GateReport.model_validate_json(judge(measured, POLICY).model_dump_json())
    drop = max((of.paired.drop for of in measured.harm.groups), default=0.0) if measured.harm else 0.0
    made = report(worst_class=worst or WorstClassDrop(name="3", drop=drop)).model_copy(update={"gate": gate})
    return verdict_sentence(verdict, 8, measured.live, made, JA)


def test_the_japanese_sentences_count_what_the_english_ones_count() -> None:
    first = First(Agreement(240, 24, 0.1), 10, "1")
    held = judged(Measured(live=None, first=first), Verdict.HELD)
    assert held.startswith("保留：入力からラベルを予測できません。240 行で、常に「1」と答えるのと変わりませんでした。")
    few = judged(Measured(live=None, first=replace(first, agreement=Agreement(12, 6, 0.1))), Verdict.PROMOTED)
    assert few == "バージョン 8 を公開しました（未検証）：12 行では良し悪しを判断できません。"
    few_of_9 = judged(Measured(live=7, new_classes=(NewClass("9", 4, 0, 0),)), Verdict.PROMOTED)
    assert few_of_9.endswith("（未検証）：「9」の 4 行では良し悪しを判断できません（認識できたのは 0 行）。")
    forgot = judged(Measured(live=2, harm=Harm(1180, Paired(1180, 61, 8))), Verdict.REJECTED)
    assert forgot.startswith(
        "不採用：覚えていたことを忘れました。1,180 行のうち新たに 61 行を間違え、8 行が正しくなりました"
        "（−4.5 ポイント、許容は 2.0）。"
    )
    missed = judged(Measured(live=2, new_classes=(NewClass("9", 40, 3, 31),)), Verdict.HELD)
    assert missed.startswith(
        "保留：「9」を覚えられていません。40 行中 3 行しか認識できません（31 行は可能なはずです）。"
    )
    assert "行を増やしてください。" in missed, "another method than the exact head is no help"
    lost = judged(Measured(live=2, new_classes=(NewClass("8", 99, 95, None), NewClass("9", 30, 0, None))), Verdict.HELD)
    assert lost.startswith("保留：「9」を覚えられていません。30 行中 0 行しか認識できません。行を増やしてください")
    groups = tuple(Group(n, f'"{n}"', 0.95, 0.8, Paired(60, 9, 0)) for n in "35")
    alone = Group("4", '"4"', 0.9, 0.9, Paired(200, 1, 1))
    worse = [
        judged(Measured(live=2, harm=Harm(1000, Paired(1000, 2, 2), of)), Verdict.HELD)
        for of in ((groups[0], alone), (*groups, alone))
    ]
    assert worse[0].startswith("保留：「3」だけが悪くなりました（60 行で 95 → 80 %）。ほかのクラスは変わりません。")
    assert worse[1].startswith("保留：「3」とほかの 1 個が悪くなりました（「3」は 60 行で 95 → 80 %）。")
    rare = [WorstClassDrop(name="x", drop=0.15, rare=10), WorstClassDrop(name="x", drop=0.15, rare=2, names=["1", "2"])]
    harmed = Measured(live=2, harm=Harm(1000, Paired(1000, 2, 2), (groups[0], alone)))
    assert judged(harmed, Verdict.HELD, rare[0]).startswith("保留：行の少ない 10 クラスだけが悪くなりました（60 行で")
    assert judged(harmed, Verdict.HELD, rare[1]).startswith("保留：「1」、「2」だけが悪くなりました（60 行で")
    since = (Since(12, Paired(1000, 60, 17)),)
    slow = judged(Measured(live=2, since=since), Verdict.HELD)
    assert slow.startswith("保留：小さな低下が重なり、バージョン 12 から 4.3 ポイント下がりました")
    assert "戻すか" not in slow, "the live version has lost none of it"
    for lacks, loses in ((("8",), "戻すか（「8」は答えられなくなります）"), ((), "バージョン 12 に戻すか、これを公開")):
        of = replace(since[0], live=Since(12, Paired(1000, 50, 17)), lacks=lacks)
        assert loses in judged(Measured(live=15, since=(of,)), Verdict.HELD)


def test_the_japanese_sentences_of_numbers_have_the_figures_of_the_english_ones() -> None:
    """Of each rule that measured something, whether it fires or passes."""
    rise = Rise(154, 3.4, 6.41, 1e-9)
    off = BatchFigures(
        rows=40,
        mean=Beside(9.0, 1.0, 1e-9),
        median=Beside(8.0, 1.0, 1e-9),
        order=Beside(0.1, 0.8, 1e-9),
        bias=Beside(6.5, 0.2, 1e-9),
        off=25.2,
        error=26.1,
        own=OwnOrder(0.03, 0.8, 0.71),
        outliers=Outlying(4, 1e-9, 16, 133.0, 99.6),
        commonest=Commonest(104.0, 0.9, 0.03, 1e-9),
    )
    usual = replace(
        off,
        mean=Beside(1.1, 1.0, 0.4),
        median=Beside(0.9, 1.0, 0.4),
        order=Beside(0.79, 0.8, 0.4),
        bias=Beside(0.2, 0.3, 0.4),
        own=OwnOrder(0.86, 1e-9, 0.71),
        outliers=Outlying(0, 1.0, 0, 0.0, 0.0),
        commonest=Commonest(104.0, 0.05, 0.03, 0.4),
    )
    little = replace(usual, mean=Beside(9.0, 1.0, 0.2))
    biased = replace(usual, bias=off.bias)
    unordered = replace(usual, order=off.order)
    repaired = Repair("/ 1,000", "look 1,000 times too large", "divided by 1,000", 0.2, slip=True, divides=1000.0)
    wrong = replace(off, repair=replace(repaired, rows=36), commonest=usual.commonest)
    good = Rise(154, 3.4, 3.3, 0.9, 1e-9)
    regions = (Region("values from 107 to 129", rise), Region('rows of "shop"', rise))
    for batch, harm, of in (
        (off, rise, regions),
        (usual, good, (Region("values from 1 to 9", good),)),
        (little, None, ()),
        (biased, None, ()),
        (unordered, None, ()),
        *((replace(of, novel=n), None, ()) for of in (off, biased, unordered) for n in (1, 3)),
        (wrong, None, ()),
    ):
        one = OneNumber("y", batch=batch, harm=harm, regions=of, own=good)
        gate = judge_numbers(NumberMeasured(live=2, numbers=(one,)), NumberPolicy())
        of_batch = {"factor": batch.repair.factor if batch.repair else None}
        made = report(NumberReport, batch=of_batch).model_copy(update={"gate": gate})
        unit = "usual_errors" if batch.bias == off.bias else "chance" if batch.order == off.order else None
        due = unit if batch.mean == usual.mean else None
        assert next(of for of in gate.rules if of.name == "disagrees_broadly").figures.get("unit") == due
        for found in (found for found in gate.rules if found.value is not None and found.name != "slow_loss"):
            spoken = rule_sentence(found, 2, made, JA)
            digits = re.findall(r"[\d.,]*\d", found.why.replace(" (0: by chance, 1: exactly)", ""))
            assert [n for n in digits if n not in spoken] == [], (found.why, spoken)
    assert "40 行中 36 行の値の単位が違うようです。1,000 で割れば" in verdict_sentence(Verdict.REJECTED, 3, 2, made, JA)


def test_a_contradicted_class_is_named_with_its_labels() -> None:
    """Of this batch and of the last ones, whatever the labels are, and with the other classes."""
    eight = {"8": ClassEvidence(confident=52, conflicts=14, expected=0.01, toward={"3": 14})}
    both = eight | {"5": ClassEvidence(confident=40, conflicts=12, expected=0.01, toward={"6": 12})}
    few = {"8": ClassEvidence(confident=10, conflicts=3, expected=0.06, toward={"3": 3})}
    pooled = {"8": ClassEvidence(confident=90, conflicts=32, expected=0.06, toward={"3": 32})}
    any_label = {"8": ClassEvidence(confident=52, conflicts=52, expected=0.01, toward={"3": 10, "5": 2})}
    many = {"8": ClassEvidence(confident=52, conflicts=52, expected=0.01, toward={f"n{k}": 10 for k in range(5)})}
    for classes, before, says in (
        (eight, {}, "52 行中 14 行のラベルは「3」ですが、バージョン 7 は「8」と強く判断しています。どちらが"),
        (both, {}, "「8」と強く判断しています。ほかに 1 個のクラスでも同じことが起きています。どちらが"),
        (few, pooled, "直近の更新を合わせた 90 行中 32 行のラベルは「3」ですが、"),
        (any_label, {}, "52 行中 52 行のラベルは「3」 か 「5」ですが"),
        (many, {}, "52 行中 52 行のラベルは別の 5 種類ですが"),
    ):
        contradiction = Contradiction(80, 14, 0.05, 3, classes, pooled=before)
        said = judged(Measured(live=7, contradiction=contradiction), Verdict.HELD)
        assert says in said, said


def test_where_more_contradict_than_usual_the_class_that_decides_alone_is_named() -> None:
    called = {"cat": {"cat": 10, "dog": 16}, "dog": {"dog": 70, "cat": 4}}
    contradiction = Contradiction(100, 20, 0.04, 2, called=called)
    both = replace(contradiction, called={"cat": {"cat": 10, "dog": 10}, "dog": {"dog": 70, "cat": 10}})
    for of, named in ((contradiction, True), (both, False)):
        gate = judge(Measured(live=7, contradiction=of), POLICY)
        assert ('16 of them say "dog" where it answers "cat", and the others are no' in gate.why) == named
        made = report(batch={"conflicts": 20, "familiar": 100, "expected": 0.04}).model_copy(update={"gate": gate})
        said = verdict_sentence(Verdict.HELD, 8, 7, made, JA)
        assert said.startswith("保留：100 行中 20 行がバージョン 7 と食い違います（通常は 4 行ほど）。")
        words = (
            "そのうち 16 行のラベルは「dog」ですが、バージョン 7 の答えは「cat」です。ほかの行は通常と変わりません。"
        )
        assert (words in said) == named


def test_wrong_columns_are_named_with_what_they_hold() -> None:
    for slips, says in (
        (ColumnSlips(200, {}, {"age": "rate", "rate": "age"}, {}), "列「age」、「rate」が入れ替わっているようです。"),
        (
            ColumnSlips(200, {}, {"a": "b", "b": "c", "c": "a"}, {}),
            "3 列の中身が入れ替わっているようです（列「a」の値は、これまでの「b」の値に似ています）。",
        ),
        (
            ColumnSlips(200, {**dict.fromkeys("pqrst", 1000.0), "u": 0.01}, {}, {}),
            "列「p」、「q」、「r」ほか 2 列の値が 1,000 倍になっているようです。"
            "列「u」の値が 100 分の 1 になっているようです。",
        ),
        (
            ColumnSlips(200, {}, {}, {}, units={"x": "°F to °C", "y": "°F to °C"}),
            "列「x」、「y」の値が °C ではなく °F のようです。",
        ),
        (
            ColumnSlips(200, {}, {}, {"x": 0.0, "y": None}),
            "列「x」がどの行でも 0 です。列「y」がどの行でも空欄です。",
        ),
    ):
        said = judged(Measured(live=3, columns=slips), Verdict.HELD)
        assert said.startswith(f"保留：{says}確認した 200 行でそうなっています（バージョン 3 が学習した行との比較）。")
        assert "もとの形で送り直してください。" in said
    swapped = Measured(live=3, columns=ColumnSlips(200, {}, {"age": "rate", "rate": "age"}, {}))
    forgot = replace(swapped, harm=Harm(1180, Paired(1180, 61, 8)))
    spoken = judged(forgot, Verdict.REJECTED)
    assert spoken.startswith("不採用：列「age」、「rate」が入れ替わっているようです。")
    of = report().model_copy(update={"gate": judge(forgot, POLICY)})
    columns, forgets = (next(r for r in of.gate.rules if r.name == name) for name in ("wrong_columns", "forgets"))
    assert "送り直してください" in rule_sentence(columns, 3, of, JA)
    assert rule_sentence(forgets, 3, of, JA).endswith("許容は 2.0）。"), "its remedy gives way"


def test_a_class_by_another_name_is_named_with_what_it_is_taken_for() -> None:
    like = Likeness(40, 38, 0.9, {"3": 36, "5": 2}, 38, 60, 0.5)
    nine, ten = (NewClass(name, 40, 38, 38, like) for name in ("nine", "ten"))
    said = judged(Measured(live=7, new_classes=(nine,)), Verdict.HELD)
    assert said.startswith(
        "保留：「nine」の 40 行中 36 行をバージョン 7 は「3」と判定し、「3」の行と見分けがつきません。別名なら、"
        "もとの名前で送り直し、このバッチを取り消してから、「nine」を削除してください。"
    )
    both = judged(Measured(live=7, new_classes=(nine,), young=(ten,)), Verdict.HELD)
    assert "ほかに 1 個の新しいクラスも同様です。" in both
    assert "このバッチと、「ten」の行を送った以前のバッチを取り消してから、「nine」 と 「ten」を削除" in both
    passes = judge(Measured(live=7, new_classes=(replace(nine, like=replace(like, separation=0.97)),)), POLICY)
    told = rule_sentence(next(r for r in passes.rules if r.name == "renames"), 7, report(), JA)
    assert told.startswith("「nine」の 40 行中 36 行をバージョン 7 は「3」と判定しますが、学習すれば見分けられます")


def test_what_leaves_a_version_unproven_is_said() -> None:
    first = First(Agreement(24, 4, 0.1), 10, "1")
    new = (NewClass("8", 40, 39, 39), NewClass("9", 3, 1, 1))
    for measured, says in (
        (
            Measured(live=None, first=first),
            "学習に使っていない 24 行での正解は 16.7 %、同じ答えを無作為に割り当てると 10.0 % です。",
        ),
        (Measured(live=None, first=First(Agreement(3, 1, 0.5), 2, "1", alone=4)), "行がなくなるクラスの行が 4 行"),
        (Measured(live=None, first=replace(first, one_group=True)), "すべての行が 1 つのグループに属するため"),
        (Measured(live=None, first=replace(first, classes=1)), "クラスが 1 つだけでは、良し悪しを判断できません。"),
        (
            Measured(live=7, new_classes=new),
            "43 行中 40 行を認識できます。「9」は行が少なく、良し悪しを判断できません。",
        ),
        (Measured(live=7, foreign=("a",)), "「a」は取り込んだバージョンのもので"),
        (Measured(live=7, foreign=("a",), harm=Harm(90, Paired(90, 1, 1))), "「a」は取り込んだバージョンのもので"),
    ):
        said = judged(measured, Verdict.PROMOTED)
        assert said.startswith("バージョン 8 を公開しました（未検証）：")
        assert says in said.replace("\N{NO-BREAK SPACE}", " "), said


def test_a_remedy_fits_the_head_and_is_said_where_nothing_else_rejects() -> None:
    forgot = Measured(live=2, harm=Harm(1180, Paired(1180, 61, 8)))
    for exact, says in ((True, "厳密解はこれまでの行をすべて保っています。"), (False, "これまでのような行も一緒に")):
        gate = judge(replace(forgot, exact=exact), POLICY)
        of = report().model_copy(update={"gate": gate, "exact": exact})
        assert says in verdict_sentence(Verdict.REJECTED, 3, 2, of, JA)
    method = Measured(live=2, harm=Harm(1180, Paired(1180, 2, 2), in_all=Paired(1180, 300, 8)))
    said = judged(method, Verdict.HELD)
    assert "手法か設定が違うため、これまでの行への答えがバージョン 2 より大きく悪くなりました。" in said
    assert "バージョン 2 の手法で学習し直すか、これを公開してください。" in said
    for name in ("intrudes", "new_class_not_learned", "learned_nothing"):
        held = rule(name, severity=Severity.HELD)
        alone, beside = report(fires=held), report(fires=rule("unlearnable", number=1))
        alone = alone.model_copy(update={"gate": alone.gate.model_copy(update={"outcome": Outcome.UNDECIDED})})
        assert "ください。" in rule_sentence(held, 2, alone, JA)
        assert "ください。" not in rule_sentence(held, 2, beside, JA), name
    numbers = rule("forgets", severity=Severity.HELD)
    assert "ください。" not in rule_sentence(numbers, 2, report(NumberReport, rule("one_value", number=2)), JA)


def test_a_rule_without_evidence_says_why() -> None:
    for gate, of in (
        (judge(Measured(live=2), POLICY), report()),
        (judge_numbers(NumberMeasured(live=2, numbers=(OneNumber("y"),)), NumberPolicy()), report(NumberReport)),
    ):
        silent = [rule for rule in gate.rules if rule.passed is None]
        assert silent
        said = {rule.name: rule_sentence(rule, 2, of, JA) for rule in silent}
        assert [name for name, sentence in said.items() if sentence == JA("reason.no_evidence")] == []


def test_what_adds_up_and_what_is_barely_recognised_is_said_in_japanese() -> None:
    score, none = (
        {"accuracy": 0.9, "balanced_accuracy": 0.9, "rows": 95, "classes": {}},
        {"before": None, "after": None},
    )
    new = {"names": ["d", "e"], "after": 0.6, "interval": None, "rows": 26}
    told = report(
        before=score,
        after=score,
        old_classes={"before": 0.9, "after": 0.9, "interval": (-0.02, 0.02), "masked": none, "intrusion": 0.0},
        new_classes=new | {"classes": {"d": {"accuracy": 1, "rows": 13}, "e": {"accuracy": 1 / 13, "rows": 13}}},
        lost_since={"version": 3, "rows": 95, "lost": 0.142, "p": 0.0004, "forgotten": 0.031, "newer": 4},
    )
    said = verdict_sentence(Verdict.PROMOTED, 9, 8, told, JA)
    assert "「d」を覚え、これまでのクラスの変化は誤差の範囲です" in said
    assert "「e」は 13 行中 1 行しか認識できません。" in said
    assert "バージョン 3 からは、95 行で 14.2 ポイント下がっています（偶然とみられる確率 0.0004）。" in said
    assert said.endswith("そのうち忘れた分は 3.1 ポイントで、残りは後から加わった 4 クラスに取られた分です。")


SCORE = {"accuracy": 0.974, "balanced_accuracy": 0.97, "rows": 1180, "classes": {}}


def test_in_english_the_gate_speaks_for_itself() -> None:
    fires = rule("forgets")
    assert verdict_sentence(Verdict.REJECTED, 3, 2, report(fires=fires), Words("en")) == fires.why
    assert rule_sentence(fires, 2, report(fires=fires), Words("en")) == fires.why
    unknown = rule("of_tomorrow")
    assert rule_sentence(unknown, 2, report(), JA) == unknown.why
    assert verdict_sentence(None, 1, None, None, JA) == ""


def test_notes_are_said_in_their_order_without_those_that_have_no_words() -> None:
    unlabelled = "7 rows came without a label: only the method mas uses such rows."
    noted = report(batch={"conflicts": 1, "notes": [unlabelled]}, notes=["In words of tomorrow.", FROM_SCRATCH])
    assert [said[:7] for said in note_sentences(noted, JA)] == ["最初のバージョ", "ラベルのない行"]
    assert note_sentences(noted, Words("en")) == ["In words of tomorrow.", FROM_SCRATCH, unlabelled]
    assert note_sentences(report(NumberReport, batch={"follows": 3}), JA)[0].startswith("直前に止められた 3 個")


def test_a_loss_below_nothing_is_said_as_a_gain() -> None:
    for kind, name, said in (
        (Report, "forgets", "1.1 ポイント良くなりました"),
        (Report, "slow_loss", "1.1 ポイント良くなりました"),
        (Report, "worst_class", "悪くなったクラスはありません。"),
        (NumberReport, "forgets", "1.1\N{NO-BREAK SPACE}% 減りました"),
        (NumberReport, "learned_nothing", "1.1\N{NO-BREAK SPACE}% 減りました"),
    ):
        spoken = rule_sentence(rule(name, True, None, value=-0.011), 2, report(kind), JA)
        assert said in spoken
        assert "−" not in spoken


@pytest.mark.parametrize("kind", OF)
def test_what_went_live_all_the_same_is_told_what_was_found_and_not_what_to_do(kind: Any) -> None:
    end = "Look at some of these rows, then promote it or retract the batch."
    fires = rule("forgets", why=f"It forgot. {end}", remedy=end)
    stopped = report(kind, fires)
    gate = stopped.gate.model_copy(update={"decided_by": "forgets", "why": f"Rejected: it forgot. 2 stays live. {end}"})
    stopped = stopped.model_copy(update={"gate": gate})
    assert found_sentence(Verdict.REJECTED, 3, 2, stopped, Words("en")) == "Rejected: it forgot."
    rejected = verdict_sentence(Verdict.REJECTED, 3, 2, stopped, JA)
    remedy = JA(f"reason.{kind.kind}.forgets.remedy{'_exact' if stopped.exact and kind is Report else ''}")
    assert (remedy in rejected, "そのままです" in rejected) == (True, True)
    for said in (
        found_sentence(Verdict.REJECTED, 3, 2, stopped, JA),
        verdict_sentence(Verdict.PROMOTED, 3, 2, stopped, JA),
        rule_sentence(fires, 2, stopped, JA, remedy=False),
    ):
        assert "覚えていたことを忘れました。" in said
        assert remedy not in said
        assert "そのままです" not in said
    assert rule_sentence(fires, 2, stopped, Words("en"), remedy=False) == "It forgot."
    passed = report(kind)
    assert found_sentence(Verdict.HELD, 3, 2, passed, JA) == verdict_sentence(Verdict.HELD, 3, 2, passed, JA)


def test_a_loss_above_its_limit_passes_within_chance() -> None:
    assert within_chance(rule("forgets", True, None, value=0.0213))
    assert not within_chance(
        rule("forgets", True, None, value=0.0213, why="On its own 90 rows it won: it follows the newer rows.")
    )
    assert not within_chance(rule("forgets", True, None, value=0.01))
    moved = f"On its own 90 rows it won: it follows the newer rows. {BESIDE_SETTINGS}"
    assert not within_chance(rule("forgets", True, None, value=0.0213, why=moved))
    said = rule_sentence(rule("forgets", True, None, value=0.0213, why=moved), 2, report(), JA)
    assert said.endswith("（同じ設定でこのバッチを除いたものとの比較）")
    usual = rule("contradicts_everything", True, None, value=10.2, limit=3.0, why=f"So it may be, {BY_CHANCE}")
    assert rule_sentence(usual, 2, report(NumberReport), JA).endswith("ため、通過です。")
    prices = (
        rule("forgets", why=f"It forgot. {end}", remedy=end, figures=figures)
        for end, figures in ((MOVE, {"expect": "move"}), ("Look at some of these rows.", {}))
    )
    assert ['"expect": "move"' in rule_sentence(each, 2, report(NumberReport), JA) for each in prices] == [True, False]
    anew = OTHER_SETTINGS.format(what="alpha 1 → 10")
    assert note_sentences(report(notes=[anew]), JA)[0].startswith(
        "全行に合わせて設定を選び直しました（alpha 1 → 10）。"
    )
    assert not within_chance(rule("forgets", value=0.0213))
    assert not within_chance(rule("new_class_not_learned", True, None)), "its limit is the least that is due"


def test_a_new_source_that_is_unlike_the_others_is_named_in_japanese() -> None:
    what = '"till", a source that is new, is unlike the others: errors on 124 trusted rows rose, 6,769 → 15,923 '
    why = f"{what}(+135.2 %; 30 % are allowed). {NEW_SOURCE}"
    spoken = rule_sentence(rule("forgets", why=why, remedy=NEW_SOURCE), 2, report(NumberReport), JA)
    assert spoken.startswith("新しい出所「till」の行は")
    assert spoken.endswith("出所を区別する列を加えてください。")


def test_a_chance_that_is_nearly_nothing_is_said_so() -> None:
    sure = rule("first_version", True, None, value=1.02e-40, limit=0.01)
    assert "偶然とみられる確率 0.001 未満" in rule_sentence(sure, None, report(), JA)
    english = Words("en")
    assert english.figure(1.02e-40, 0.01) == "less than 0.001"
    assert english.figure(1.02e-40, 0.00001) == "less than 0.00001", "what is below its limit is seen to be so"
    assert english.figure(0.00002, 0.00001) == "0.00002"
    assert [english.figure(value, None) for value in (0.0, -0.00025, 0.25, 1190.4)] == [
        "0",
        "−0.00025",
        "0.25",
        "1,190",
    ]


def test_a_challenger_is_spoken_of_by_its_figures() -> None:
    why = "auto: a challenger that did not win. The challenger ran out of its budget of 30 s."
    update = Update.model_construct(**{**dict.fromkeys(Update.model_fields), "kind": "learn", "why": why})
    assert method_sentence(update, None, JA).startswith("別の手法の訓練が、かけてよい 30 秒")
    assert method_sentence(update, None, Words("en")) == "The challenger ran out of its budget of 30 s."


CHOSEN = {
    name
    for file in Path(auto.__file__).parent.glob("*.py")
    for name in re.findall(r'"name": "(\w+)"', file.read_text())
}
"""Methods that the tables of `auto` choose."""


def test_each_method_that_is_chosen_has_a_reason() -> None:
    facts = dict.fromkeys(Update.model_fields)
    for name in sorted(CHOSEN):
        chosen = {"kind": "learn", "requested_method": {"name": "auto"}, "method": {"name": name}, "why": "auto: so."}
        update = Update.model_construct(**{**facts, **chosen})
        assert name in method_sentence(update, None, JA), name
        assert method_sentence(update, None, Words("en")) == "Chosen automatically: so.", name
        fades = update.model_copy(update={"why": "auto: older batches count less."})
        assert "古いバッチほど" in method_sentence(fades, None, JA), name
        asked = update.model_copy(update={"requested_method": {"name": name}})
        assert method_sentence(asked, None, JA) == "", name
        back = update.model_copy(update={"kind": UpdateKind.RETRACT})
        assert method_sentence(back, report(), JA).isascii() is False, name


@pytest.mark.parametrize(("language", "errors"), [("en", "22 (salt), 0.02 (heat)"), ("ja", "22（salt）、0.02（heat）")])
def test_of_several_numbers_each_has_its_error(language: str, errors: str) -> None:
    """Their mean would be of no unit."""
    numbers = [{"name": "salt", "mae": 22.0}, {"name": "heat", "mae": 0.02}]
    after = {"mae": 11, "rmse": 14, "r2": None, "median_error": 9, "bias": 0.0, "rows": 300, "numbers": numbers}
    of = report(NumberReport, after=after)
    said = kind_of(of).how_good(of, Words(language))
    assert errors in said
    assert "11" not in said
    tested = {"mae": 11, "rmse": 14, "r2": None, "coverage": None, "rows": 300, "batches": 2, "numbers": numbers}
    assert kind_of(of).cells(report(NumberReport, after=after, tested=tested), Words(language))[0] == "22 · 0.02"


@pytest.mark.parametrize(
    ("language", "beside"),
    [("en", "Always saying “no” is right on 77.5 %."), ("ja", "常に「no」と答えた場合の正解率は 77.5 % です。")],
)
def test_a_first_version_of_classes_stands_beside_its_commonest_one(language: str, beside: str) -> None:
    brought = {"names": ["no", "yes"], "after": 0.81, "interval": (0.758, 0.853), "rows": 258}
    of = report(new_classes={**brought, "commonest": {"class": "no", "accuracy": 0.775}})
    said = kind_of(of).how_good(of, Words(language))
    assert said.replace("\N{NO-BREAK SPACE}", " ").endswith(beside)
    of_more = report(new_classes={**brought, "commonest": {"class": "no", "accuracy": 0.775, "rows": 1200}})
    assert "1,200" in kind_of(of_more).how_good(of_more, Words(language)), "not of the rows that judge"
    assert said in verdict_sentence(Verdict.PROMOTED, 1, None, of, JA) or language != JA.language
    unequal = {"class": "no", "accuracy": 0.97, "rows": 258}
    scores = {"no": {"accuracy": 1.0, "rows": 250}, "yes": {"accuracy": 0.625, "rows": 8}}
    rarest = report(new_classes={**brought, "classes": scores, "commonest": unequal})
    trusted = {"accuracy": 0.99, "balanced_accuracy": 0.8, "rows": 258, "classes": scores, "commonest": unequal}
    for such in (rarest, report(after=trusted)):
        said = kind_of(such).how_good(such, Words(language))
        assert "97" in said
        assert said.endswith(("5 of 8 rows of “yes”.", "「yes」は 8 行中 5 行。"))
    assert beside[:5] not in kind_of(of).how_good(report(new_classes=brought), Words(language))
