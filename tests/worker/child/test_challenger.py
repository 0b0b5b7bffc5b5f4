"""A net that a challenger brought in goes on only while it beats the exact head of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.contract.inputs import VectorInput
from service.contract.report import Report
from service.learning.data.rows import Rows
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import Champion
from service.learning.methods import METHODS, resolve
from service.learning.run import Run
from service.learning.update import learn
from service.worker.child.challenger import TOOK_OVER, better, taken_over
from service.worker.child.method_choice import choose
from tests.learning.memory_data import MemoryData, Stream

SPEC = VectorInput(kind="vector", size=12, scale={"range": [-1, 1]})
NET = {"backbone": {"name": "mlp", "hidden": [64]}}


def rows(label: Callable[[Any], bool], n: int, seed: int) -> tuple[Any, list[str]]:
    """n rows of twelve columns, of two classes."""
    X = np.random.default_rng(seed).uniform(-1, 1, (n, 12)).astype(np.float32)
    return X, ["odd" if label(x) else "even" for x in X]


def unseen(x: Any) -> bool:
    """What a linear head cannot see."""
    return bool(np.prod(x[:3]) > 0)


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
    made, taken = better(base, data, learned, chosen, Run(), ClassContext())
    assert taken.method.name == method, taken.why
    assert "replay answers" in taken.why
    assert "rows kept back for choosing, ridge" in taken.why
    assert made.multiply_adds > learned.multiply_adds
    if method == "ridge":
        assert made.checkpoint.layout.backbone.name == "identity"
        assert made.checkpoint.learned["head.0"] == {*data.known_batches, *data.batch.batches}
    else:
        assert made.checkpoint is learned.checkpoint


def test_what_a_net_had_won_is_not_lost_by_the_rows_with_which_the_exact_head_takes_over() -> None:
    """Heads on the inputs see these labels less than the net does, before the batch as after it."""
    stream = Stream(SPEC)
    stream.learn(METHODS["retrain"], *rows(unseen, 1500, 0), epochs=15, **NET)
    base, data = stream.checkpoint, stream.data(*rows(unseen, 100, 1))
    earlier = MemoryData(SPEC, data.architecture, data.base_rows, Rows.empty((12,)))
    chosen = choose({"name": "auto"}, base, data).rival
    assert base is not None
    learned = learn(base, data, chosen.method, chosen.params, Run())
    made = taken_over(base, earlier, learned, chosen, Run())
    assert made.checkpoint is learned.checkpoint
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
