"""What the service says in English alone, in Japanese: by patterns, which must be those of the service still."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch

from service.contract.inputs import InputSpec, RangeScale, VectorInput
from service.contract.reports.facts import NewValue
from service.contract.reports.number_report import TestedErrors, YardstickError
from service.contract.tables import TableInput
from service.contract.targets.number_target import ColumnYardstick, NumberTarget
from service.errors import MethodRefused
from service.guessing.csv_files.dialect import Dialect
from service.intake.kinds.cells import no_number
from service.learning.data.learned_values import LearnedValues
from service.learning.data.slips import class_notes, slip_notes, value_notes
from service.learning.evaluation.classes.class_challenge import ClassComparison
from service.learning.evaluation.numbers.number_assessment import Tested
from service.learning.evaluation.numbers.number_challenge import NumberComparison
from service.learning.evaluation.numbers.number_report import worse_than
from service.learning.evaluation.numbers.yardsticks import not_compared
from service.learning.methods import METHODS, resolve
from service.learning.network.input_scale import AnyScale, InputScale
from service.learning.network.scale_notes import scale_notes
from service.learning.network.table_scale import TableScale
from service.serving.notes import unlearned, unusual
from service.serving.unusual import Usual
from service.web.catalogue.said import LONGEST, patterns, said
from tests.tables import table_of
from tests.web.test_words import WEB

DIALECTS = ((";", ",", "day-first", "Köln"), ("\t", ".", "month-first", ""), (";", ".", "", ""), ("\t", ",", "", ""))


def pairs_of_words(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[k : k + 2]) for k in range(len(words) - 1)}


def test_what_patterns_say_in_english_is_what_the_service_says() -> None:
    """Two texts of the service meet in many a sentence, so most of its words are looked for, pair by pair."""
    files = [path for path in WEB.parent.rglob("*.py") if WEB not in path.parents]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text())))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    here = set[str]().union(*map(pairs_of_words, texts))
    gone = {}
    for pattern in patterns("ja"):
        own = (literal.replace(" (counted from 0)", "") for literal in pattern.literals)  # `row_number` says that
        wanted = set[str]().union(*map(pairs_of_words, own))
        of_pydantic = re.search("should (have|be)", "".join(pattern.literals))
        if len(wanted) >= 4 and not of_pydantic and len(wanted & here) < 0.6 * len(wanted):
            gone[pattern.literals] = wanted - here
    assert gone == {}


BY_COLUMN = NumberTarget(kind="number", yardstick=ColumnYardstick(column=1))
TABLE = table_of({f"n{k}": "number" for k in range(12)})
SCALES: list[tuple[InputSpec, AnyScale]] = [
    (VectorInput(kind="vector", size=1, scale=RangeScale(range=(0, 1))), InputScale(torch.tensor(0.5), torch.ones(1))),
    (VectorInput(kind="vector", size=1), InputScale(torch.zeros(1), torch.ones(1))),
    (TABLE, TableScale.fitted(TABLE, np.empty((0, 12)))),
]


def noted(spec: InputSpec, scale: AnyScale) -> list[str]:
    """Notes on rows with numbers that are cut, and on some that lack everything."""
    size = len(spec.columns) if isinstance(spec, TableInput) else 1
    usual = Usual(spec, scale, LearnedValues({}, np.zeros(size)))
    said = []
    sparse = Usual(spec, scale, LearnedValues({}, np.full(size, 20.0), np.zeros(1)))
    for cell, held in ((99.0, usual), (np.nan, usual), (np.nan, sparse)):
        if (marks := held.marks(np.full((2, size), cell), (cell, cell))) is not None:
            said += [note for intervals in (False, True) for note in unusual(marks, held, spec, 3, intervals)]
    return said


def notes() -> list[str]:
    """Notes and reasons as the service makes them."""
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    still = np.zeros((40, 3), np.float32)
    wide = np.tile(np.array([[0.5, -0.5, 300.0]], np.float32), (40, 1))
    slips = {"city": [NewValue(value=f"Osakk{k}", rows=1, near=["Osaka"]) for k in range(7)]}
    comparisons = [ClassComparison(300, 0.934, 0.912, 1e-40), NumberComparison(300, 1.5, 1.7, 0.98, later=True)]
    return [
        *(Dialect(mark, sign, "cp1252", order, word).sentence for mark, sign, order, word in DIALECTS),
        *unlearned({0: {1.0: "Nara", 2.0: "Kobe"}}, {0: frozenset()}, table_of({"city": "category"}), 3),
        *(note for spec, scale in SCALES for note in noted(spec, scale)),
        *worse_than(
            {"mean": YardstickError(mae=12.1, rmse=15.0)},
            TestedErrors(mae=15.4, rmse=20.0, r2=None, coverage=None, rows=96, batches=1),
        ),
        *(
            note
            for batches in (("a",), ("a", "b"))
            for note in not_compared(BY_COLUMN, [cast(Tested, SimpleNamespace(batches=batches, yardsticks={}))])
        ),
        *scale_notes(scale, still, fitted=True),
        *(note for numbers in (False, True) for note in scale_notes(scale, wide, fitted=False, differences=numbers)),
        *slip_notes(slips),
        *(no_number("23O", *way) for way in ((), ("leave the cell empty",), ("leave the row out",))),
        *value_notes({"city": [NewValue(value="Kobe", rows=9)]}),
        *class_notes({f"wein{letter}": 1 for letter in "abcdefg"}, ["wein"], ["bat_1"]),
        *(f"auto: a challenger that did not win. {one.sentence('retrain')}" for one in comparisons),
        f"auto: a challenger. {comparisons[0].sentence('retrain')}",
    ]


def test_a_note_has_words_in_japanese() -> None:
    for note in notes():
        spoken = said(note, "ja")
        assert not spoken.isascii(), note
        assert "{" not in spoken, note


def test_figures_and_names_stay_as_they_are() -> None:
    lost = said(
        f"auto: a challenger that did not win. {ClassComparison(300, 0.934, 0.912, 1e-40).sentence('retrain')}", "ja"
    )
    assert all(figure in lost for figure in ("300 行", "retrain が 0.912", "公開中のものが 0.934"))
    line = 'Line 1,042, column "label": "{0}<b>" is not a class of digits. Near: "a", "b b".'
    assert (
        said(line, "ja")
        == "1,042 行目、列「label」：「{0}<b>」は digits のクラスではありません。近いもの：「a」、「b b」。"
    )
    assert said('Line 7, column "x": In words of tomorrow.', "ja") == "7 行目の列「x」に誤りがあります。"
    assert "「p0」、「p1」ほか 53 個）。" in said(
        'd takes 64 numbers a row, and there are 55 columns: "p0", "p1" and 53 more.', "ja"
    )


def test_rows_that_count_twice_have_words_in_japanese() -> None:
    back = "If that is not meant, take one of the two back."
    for note in (
        f'Batch bat_1 from "north" has the same rows: they count twice. {back}',
        f"Batch bat_1 without a source has the same rows: they count twice. {back}",
    ):
        assert said(note, "ja").endswith("二重に数えています。意図したものでなければ、どちらかを取り消してください。")
    note = "Batch bat_2 has the rows of batch bat_1 as they were before they were corrected: they count twice."
    assert "bat_2 を取り消し" in said(f"{note} If that is not meant, take bat_2 back.", "ja")
    for many in ("All 200", "Nearly all 5,000", "188 of 200", "About 94 % of 5,000"):
        for of in (
            "rows are in batch bat_1, too: they count twice.",
            "rows are in batch bat_1, too, but for some columns: they count twice.",
            "rows have inputs of batch bat_1, and other labels or targets: both count.",
        ):
            note = f"{many} {of} If this is that file, corrected, take bat_1 back (see its page)."
            words = said(note, "ja")
            assert "二重に数えて" in words, note
            assert words.endswith("bat_1 を取り消してください。")


def test_what_has_no_words_is_not_said_in_part() -> None:
    assert said("It is empty. In words of tomorrow.", "ja") == ""
    assert said("", "ja") == ""
    assert said("It is empty. " * 400, "ja") == ""
    assert len("It is empty. " * 400) > LONGEST
    assert said('"a". "b" is not a class of digits.', "ja") == "", "a name holds no end of a sentence"


def refusals() -> Iterator[str]:
    """What is said of each parameter of each method that is something else than it takes."""
    wrong = ("?", -1e12, 1e13, [], {}, True, 1.5)
    asked = [
        {"name": name, member: value}
        for name, of in METHODS.items()
        for member in of.Params.model_fields
        for value in wrong
    ]
    for request in [*asked, {"name": "rigde"}, {"name": "nope"}, {"name": "ridge", "alhpa": 1}]:
        try:
            resolve(request)
        except MethodRefused as fault:
            yield fault.detail


def test_a_refused_parameter_of_a_method_has_words_in_japanese() -> None:
    sentences = [*refusals()]
    assert len(sentences) > 900
    assert [sentence for sentence in sentences if said(sentence, "ja").isascii()] == []
