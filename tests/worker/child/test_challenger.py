"""A net wins by rows that nobody learned, later ones too, and stays while it beats the exact head of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.contract.inputs import VectorInput
from service.contract.reports.class_report import Report
from service.learning.data.rows import Rows
from service.learning.evaluation.challenge import earlier_batches
from service.learning.evaluation.classes.class_challenge import ClassComparison
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import Champion
from service.learning.evaluation.numbers.examine_numbers import NumberContext
from service.learning.methods import METHODS, resolve
from service.learning.run import Run
from service.learning.update import learn
from service.worker.child.challenger import TOOK_OVER, InTime, better, challenge
from service.worker.child.method_choice import StepChoice, choose
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.number_streams import NumberStream, vector

SPEC = VectorInput(kind="vector", size=12, scale={"range": [-1, 1]})
NET = {"backbone": {"name": "mlp", "hidden": [64]}}


def rows(label: Callable[[Any], bool], n: int, seed: int) -> tuple[Any, list[str]]:
    """n rows of twelve columns, of two classes."""
    X = np.random.default_rng(seed).uniform(-1, 1, (n, 12)).astype(np.float32)
    return X, ["odd" if label(x) else "even" for x in X]


def unseen(x: Any) -> bool:
    """What a linear head cannot see."""
    return bool(np.prod(x[:3]) > 0)


def in_time(data: MemoryData) -> InTime:
    """The data of an update, what was known before it, and its own."""
    none = Rows.empty(data.input.shape)
    return InTime(data, MemoryData(data.input, data.architecture, data.base_rows, none, target=data.target), data)


@pytest.mark.parametrize(
    "mixed", [False, pytest.param(True, marks=pytest.mark.long)], ids=["a week a batch", "weeks mixed"]
)
def test_a_net_that_knows_the_weeks_it_learned_loses_on_the_next(mixed: bool) -> None:
    """Rows of a week lie close together, and each week has a level of its own."""
    random = np.random.default_rng(0)
    week = np.repeat(np.arange(10), 60)
    X = random.normal(size=(10, 5))[week] + 0.2 * random.normal(size=(600, 5))
    y = 3 * X.sum(1) + random.normal(size=10)[week] + 0.1 * random.normal(size=600)
    order = random.permutation(600) if mixed else np.arange(600)
    stream = NumberStream(vector(5))
    for rows in np.split(order, 10):
        learned = stream.learns(X[rows], y[rows], lift="none")
    *earlier, latest = stream.history
    none = Rows.empty((5,))
    data = InTime(
        *(
            MemoryData(stream.input, stream.architecture, *rows, target=stream.target)
            for rows in ((stream.history, none), (earlier, none), ([], latest))
        )
    )
    method, params = resolve({"name": "retrain", "backbone": {"name": "mlp"}})
    net = learn(learned.checkpoint, data.whole, method, params, Run())
    chosen = StepChoice(method, params, "")
    assert NumberContext().compare(learned.checkpoint, net.checkpoint, data.whole, Run()).won
    made, taken, lost = challenge(learned.checkpoint, data, net, chosen, Run(), NumberContext())
    assert f"on {len(latest)} rows that came later" in taken.why
    assert (lost is None) == mixed, taken.why
    assert made.checkpoint is net.checkpoint
    assert made.multiply_adds > net.multiply_adds


def test_the_newest_tenth_of_the_rows_tests_a_challenger_in_whole_batches() -> None:
    assert earlier_batches({"a": 900, "b": 50, "c": 50}) == ["a"]
    assert earlier_batches({"a": 900, "b": 80, "c": 20, "d": 112}) == ["a", "b", "c"]
    assert earlier_batches({"a": 90, "b": 910}) == ["a"]
    assert earlier_batches({"a": 2200}) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("label", "n", "method"),
    [(unseen, 1500, "replay"), (lambda x: x[0] > 0, 300, "ridge")],
    ids=["what a linear head cannot see", "what it sees"],
)
def test_the_net_stays_where_it_is_better_and_else_the_exact_head_takes_over(
    label: Callable[[Any], bool], n: int, method: str
) -> None:
    stream = Stream(SPEC)
    stream.learn(METHODS["retrain"], *rows(label, n, 0), epochs=15, **NET)
    base, data = stream.checkpoint, stream.data(*rows(label, 300, 1))
    chosen = choose({"name": "auto"}, base, data)
    assert (chosen.method.name, chosen.rival is not None) == ("replay", True)
    learned = learn(base, data, chosen.method, chosen.params, Run())
    assert base is not None
    made, taken = better(base, in_time(data), learned, chosen, Run(), ClassContext())
    assert taken.method.name == method, taken.why
    assert "replay answers" in taken.why
    assert "rows kept back for choosing, ridge" in taken.why
    assert made.multiply_adds > learned.multiply_adds
    if method == "ridge":
        assert made.checkpoint.layout.backbone.name == "identity"
        assert made.checkpoint.learned["head.0"] == {*data.known_batches, *data.batch.batches}
    else:
        assert made.checkpoint is learned.checkpoint


@pytest.mark.long
def test_a_net_that_the_exact_head_beats_on_rows_to_come_leaves_and_what_it_had_won_is_not_lost_by_them() -> None:
    """Heads on the inputs see these labels less than the net does, before the batch as after it; rows to come are
    others."""
    stream = Stream(SPEC)
    stream.learn(METHODS["retrain"], *rows(unseen, 1500, 0), epochs=15, **NET)
    base, data = stream.checkpoint, stream.data(*rows(unseen, 100, 1))
    chosen = choose({"name": "auto"}, base, data)
    assert base is not None
    assert chosen.rival is not None

    class Elsewhere(ClassContext):
        """The exact head beats the net on rows that came later."""

        def compare(self, *versions: Any, later: Rows | None = None) -> ClassComparison:
            return ClassComparison(100, 0.5, 0.7, 0.01, True) if later is not None else super().compare(*versions)

    made, taken = better(
        base, in_time(data), learn(base, data, chosen.method, chosen.params, Run()), chosen, Run(), Elsewhere()
    )
    assert taken.method.name == "ridge"
    assert "ridge answers 0.700 of 100 rows that came later, what serves 0.500" in taken.why
    learned = learn(base, data, chosen.rival.method, chosen.rival.params, Run())
    assert made.without.learned["head.0"] == set(data.known_batches)
    assert made.notes[-1] == TOOK_OVER
    reports = [ClassContext(live=2).examine(base, it, data, Run()).report for it in (learned, made)]
    fired = [{rule.name: rule for rule in report.gate.rules if rule.severity} for report in reports]
    assert fired[0]["forgets"].severity == "rejected"
    assert {"worst_class", "learned_nothing"} <= fired[0].keys()
    assert not fired[1], reports[1].gate.why
    assert len({report.old_classes.before for report in reports if isinstance(report, Report)}) == 1


@pytest.mark.parametrize("imported", [[], ["odd", "even"]], ids=["trained here", "weights from elsewhere"])
def test_a_challenger_is_judged_by_trusted_rows_or_where_those_are_elsewhere_by_its_own(imported: list[str]) -> None:
    stream = Stream(SPEC)
    stream.learn(METHODS["retrain"], *rows(lambda x: x[0] > 0, 400, 0), epochs=2, **NET)
    first = stream.checkpoint
    assert first is not None
    base = replace(first, layout=first.layout.model_copy(update={"imported": imported}))
    data = stream.data(*rows(lambda x: x[0] > 0, 400, 1))
    champion = learn(base, data, *resolve({"name": "fine_tune", "epochs": 1}), Run()).checkpoint
    everything = MemoryData(SPEC, data.architecture, [*data.base_rows, data.batch], Rows.empty((12,)))
    learned = learn(base, data, *resolve({"name": "retrain", "epochs": 2, **NET}), Run())
    report = ClassContext(live=2).examine_challenger(Champion(champion, base), learned, data, everything, Run()).report
    assert isinstance(report, Report)
    assert report.before is not None
    assert report.cost.rows == 400
    compared = report.gate.rules[10].why
    assert ("No rows of its own" in compared or compared.startswith("0 rows")) == (not imported), compared
