"""Of tables another strength or lift is no harm that a batch did: its settings alone are what it is compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from service.contract.enums import Outcome
from service.contract.inputs import Architecture, VectorInput
from service.contract.reports.facts import GateReport
from service.learning.data.rows import Rows
from service.learning.evaluation.classes.class_answers import base_answers
from service.learning.evaluation.classes.class_assessment import Correctness
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import OTHER_SETTINGS, Exam
from service.learning.gate.classes.class_measurements import ALL
from service.learning.method import Learned
from service.learning.methods import resolve
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.memory_data import MemoryData
from tests.learning.table_streams import SHOP, class_rows, shop
from tests.updating import make_rows

FIRST, NEXT = class_rows("bat_0", shop(80)), class_rows("bat_1", shop(40, seed=1))


def learned(strength: float, batch: Rows = NEXT) -> tuple[Learned, Learned]:
    """A first version of strength 1, and a second of another."""
    first = learn(
        None,
        MemoryData(SHOP, Architecture(), [], FIRST),
        *resolve({"name": "ridge", "lift": "none", "alpha": 1}),
        Run(),
    )
    data = MemoryData(SHOP, Architecture(), [FIRST], batch)
    return first, learn(first.checkpoint, data, *resolve({"name": "ridge", "lift": "none", "alpha": strength}), Run())


def test_a_table_learned_with_another_strength_has_that_strength_without_the_batch() -> None:
    _, second = learned(10)
    alone = learn(
        None,
        MemoryData(SHOP, Architecture(), [], FIRST),
        *resolve({"name": "ridge", "lift": "none", "alpha": 10}),
        Run(),
    )
    for part in ("head.0", "judge"):
        np.testing.assert_allclose(
            second.without.parts[part]["weight"].numpy(), alone.checkpoint.parts[part]["weight"].numpy(), atol=1e-6
        )
    assert learned(1)[1].without is None


def test_what_shares_count_is_a_setting_of_tables_and_of_vectors() -> None:
    """Where rows kept back become enough, it is fitted, and common classes are answered more; no row of the batch did
    that."""
    random = np.random.default_rng(0)
    labels = [("rare", "common")[int(k)] for k in random.random(900) < 0.8]
    inputs = (random.normal(size=(900, 4)) + np.array([[name == "rare"] for name in labels])).astype(np.float32)
    spec, how = VectorInput(kind="vector", size=4), resolve({"name": "ridge", "lift": "none", "alpha": 1})
    first, then = (
        make_rows(f"bat_{k}", inputs[at], labels[at], b"folds") for k, at in enumerate((slice(300), slice(300, 900)))
    )
    base = learn(None, MemoryData(spec, Architecture(), [], first), *how, Run()).checkpoint
    data = MemoryData(spec, Architecture(), [first], then)
    made = learn(base, data, *how, Run())
    assert made.without is not None
    assert base.layout.exact.log_share == 0 < made.checkpoint.layout.exact.log_share
    rows = data.ledger(ClassContext(live=1).space(base, made.checkpoint, data))
    shares = np.array([rows.all.n[rows.all.classes.index(name)] for name in base.classes]) / rows.all.mass
    gained = made.checkpoint.layout.exact.log_share * np.log(shares)
    for part in ("weight", "bias"):
        moved = made.without.parts["head.0"][part].numpy() - base.parts["head.0"][part].numpy()
        np.testing.assert_allclose(moved, gained if part == "bias" else 0, atol=1e-5)
    again = MemoryData(spec, Architecture(), [first, then], make_rows("bat_2", inputs[:0], [], b"folds"))
    assert learn(made.checkpoint, again, *how, Run()).without is None, "nothing is compared where no row comes"


def test_settings_that_were_chosen_anew_are_noted_of_what_goes_live_alone() -> None:
    data, context = MemoryData(SHOP, Architecture(), [FIRST], NEXT), ClassContext(live=1)
    for strength, what in ((0.5, "alpha 1 → 0.5"), (1, "")):
        first, second = learned(strength)
        report = context.examine(first.checkpoint, second, data, Run()).report
        assert report.gate.outcome is Outcome.PASS
        noted = [note for note in report.notes if "other settings of the method do best" in note]
        assert noted == ([OTHER_SETTINGS.format(what=what)] if what else [])
    first, second = learned(10)
    space = context.space(first.checkpoint, second.checkpoint, data)
    exam = Exam.of(first.checkpoint, second, data, Run(), space, None)
    said = {outcome: exam.chosen_anew(GateReport(outcome=outcome, rules=[])) for outcome in Outcome}
    assert [outcome for outcome, notes in said.items() if notes] == [Outcome.PASS]
    fades = learn(first.checkpoint, data, *resolve({"name": "ridge", "lift": "none", "alpha": 1, "decay": 0.9}), Run())
    exam = replace(exam, learned=fades)
    assert exam.chosen_anew(GateReport(outcome=Outcome.PASS, rules=[])) == [], "a decay is no setting of the rows"


def test_what_shares_count_is_no_part_of_what_settings_cost_the_mean_over_the_classes() -> None:
    first, second = learned(10)
    data, context = MemoryData(SHOP, Architecture(), [FIRST], NEXT), ClassContext(live=1)
    space = context.space(first.checkpoint, second.checkpoint, data)
    rows = Exam.of(first.checkpoint, second, data, Run(), space, None).rows
    without, counts = second.without, rows.ledger.unjudged
    assert without is not None
    assert without.layout.exact is not None
    shares = dict(zip(counts.classes, counts.n / counts.mass, strict=True))
    gained = 3 * np.log([shares[name] for name in without.classes])
    judge = without.parts["judge"]
    moved = {**judge, "bias": judge["bias"] + torch.from_numpy(gained.astype(np.float32))}
    for log_share, same in ((3.0, True), (0.0, False)):
        exact = without.layout.exact.model_copy(update={"log_share": log_share})
        layout = without.layout.model_copy(update={"exact": exact})
        version = rows.answered_by(replace(without, layout=layout, parts={**without.parts, "judge": moved}))
        best = base_answers(rows.answered_by(without)).on_trusted.best
        assert np.array_equal(base_answers(version).on_trusted.even().best, best) == same


def test_settings_chosen_with_labels_in_other_shares_are_no_excuse() -> None:
    all_buy = replace(NEXT, labels=np.full_like(NEXT.labels, NEXT.names.index("buys")))
    assert learned(10, all_buy)[1].without is None


def test_what_settings_lost_and_updates_gained_is_remembered() -> None:
    none = np.zeros(0, np.int32)
    lost = Correctness(("a",), (), none, none, np.zeros(0, bool), None, {ALL: 0.05, "a": 0.1}, 0.02)
    kept = Correctness.load(lost.arrays())
    assert (kept.settings, kept.gained) == ({ALL: 0.05, "a": 0.1}, 0.02)
    without = Correctness(("a",), (), none, none, np.zeros(0, bool))
    assert (Correctness.load(without.arrays()).settings, Correctness.load(without.arrays()).gained) == ({}, 0.0)
