"""First versions: nothing is usual yet, and answers out of fold say whether targets can be predicted at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.contract.enums import Outcome
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import Floats
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.numbers.measure_numbers import measure
from service.learning.gate.numbers.number_gate import judge_numbers
from tests.learning.evaluation.numbers.batches import ROWS, Stream, rows


def first(stream: Stream, inputs: Floats, targets: Floats, answers: Floats) -> tuple[Outcome, bool, str]:
    a = stream.assessment(inputs, targets, live=None, base=None, past=())
    a = replace(a, candidate=ExamAnswers(a.candidate.on_trusted, answers), trusted=rows(targets[:0], "old"))
    report = judge_numbers(measure(a), stream.policy)
    return report.outcome, report.unproven, report.why


def test_first_versions(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    goals = stream.grid.in_units(targets)
    assert first(stream, inputs, targets, stream.answers(inputs)) == (Outcome.PASS, False, "Every check passed.")
    outcome, _, why = first(stream, inputs, targets, 0.5 * stream.random.permutation(goals))
    assert outcome is Outcome.UNDECIDED
    assert why.startswith("Held: the targets cannot be predicted from the inputs. On 96 rows it had not seen it is off")
    few = first(stream, inputs[:3], targets[:3], goals[:3])
    assert few == (Outcome.PASS, True, "3 rows are too few to judge it.")
    same = np.full_like(targets, 104.0)
    assert first(stream, inputs, same, np.zeros_like(goals)) == (
        Outcome.PASS,
        True,
        "All targets are 104, so nothing shows whether they can be predicted.",
    )
    none = np.full_like(goals, np.nan)
    assert first(stream, inputs, targets, none)[:2] == (Outcome.PASS, True)


def test_a_first_version_of_skewed_targets_is_known_by_their_order() -> None:
    """Delays: most are nothing, some are hours. The mean of such rows is farther from most than the median is."""
    stream = Stream(0.0, 1.0, batches=0)
    inputs, _ = stream.draw(400)
    late = np.exp(2 * stream.random.normal(size=400) + inputs[:, 0])[:, None]
    mean = stream.grid.in_units(np.exp(2 + inputs[:, :1]))
    errors, plain = np.abs(mean - stream.grid.in_units(late)), np.abs(late - np.median(late)) / stream.grid.unit
    assert errors.mean() > plain.mean()
    assert first(stream, inputs, late, mean)[0] is Outcome.PASS
    assert first(stream, inputs, late, stream.random.permutation(mean))[0] is Outcome.UNDECIDED


def test_a_first_version_of_differences_is_compared_in_targets() -> None:
    """Tomorrow's price is today's, and nothing more is known: that is far better than any one price."""
    stream = Stream(0.0, 20.0, target=NumberTarget.model_validate({"kind": "number", "from": 1}), batches=0)
    inputs, targets = stream.draw(ROWS, noise=3.0)
    none = np.zeros((ROWS, 1))
    assert first(stream, inputs, targets, none)[:2] == (Outcome.PASS, False)
    shuffled = stream.random.permutation(targets)
    assert first(stream, inputs, shuffled, none)[0] is Outcome.UNDECIDED
