"""Methods that need what a retention deletes are refused with what would work; the others go on."""

from __future__ import annotations

import numpy as np
import pytest

from service.contract.enums import Retention
from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from service.errors import MethodRefused
from service.learning.absent_rows import lacking, refused
from service.learning.data.rows import Rows
from service.learning.ledger.ledger import Ledger
from service.learning.method_params import GradientParams
from service.learning.methods import METHODS
from service.learning.run import Run
from service.learning.update_data import Data
from tests.learning.exact_help import WIDTH, random_entry, space
from tests.learning.memory_data import MemoryData, Stream

SPEC = VectorInput.model_validate({"kind": "vector", "size": 4, "scale": {"range": [-8, 8]}})
MLP = Architecture(backbone=MlpBackbone(name="mlp", hidden=[4]))


@pytest.mark.parametrize("name", METHODS)
def test_without_rows_what_rehearses_or_moves_a_backbone_is_refused(name: str) -> None:
    method = METHODS[name]
    assert refused(method, method.Params(), Retention.ALL, MLP, None) is None
    assert refused(method, method.Params(), Retention.EXEMPLARS, MLP, None) is None
    still, moving = (refused(method, method.Params(), Retention.NONE, a, None) for a in (Architecture(), MLP))
    assert (still is not None) == ("kept" in method.needs)
    trains = issubclass(method.Params, GradientParams) and name != "linear_probe"
    assert (moving is not None) == ("kept" in method.needs or trains)
    for sentence in filter(None, (still, moving)):
        assert "ridge" in sentence
        assert "exemplars" in sentence


def test_the_exact_head_is_never_refused_for_want_of_rows() -> None:
    for name in ("ridge", "lda"):
        assert refused(METHODS[name], METHODS[name].Params(), Retention.NONE, MLP, None) is None


class Lost(MemoryData):
    """All that was learned before was deleted but for its sums."""

    @property
    def kept_rows(self) -> int:
        return 0

    def kept(self) -> Rows:
        raise AssertionError("deleted rows are read")


def lost(stream: Stream, n: int, seed: int) -> Data:
    random = np.random.default_rng(seed)
    labels = list("ab") * (n // 2)
    inputs = random.normal(size=(n, 4)) + np.array([[2.0 if c == "a" else -2.0] for c in labels])
    return Lost(SPEC, Architecture(), stream.history, stream.rows(inputs, labels))


def test_a_lift_stays_where_rows_are_gone_and_another_is_refused() -> None:
    stream, ridge = Stream(SPEC), METHODS["ridge"]
    random = np.random.default_rng(0)
    stream.learn(ridge, random.normal(size=(60, 4)), list("ab") * 30)
    base = stream.checkpoint
    made = ridge.update(base, lost(stream, 400, 1), ridge.Params(), Run())
    assert made.checkpoint.layout.lifts == base.layout.lifts, "rows have more than doubled"
    with pytest.raises(MethodRefused, match="feature space cannot change"):
        ridge.update(base, lost(stream, 40, 1), ridge.Params.model_validate({"lift": "relu", "width": 17}), Run())


def test_what_was_summed_anew_from_the_rows_that_are_left_is_told() -> None:
    ledger = Ledger.empty(space()).with_entry(random_entry(40, width=WIDTH))
    assert lacking(ledger, 40) == []
    [note] = lacking(ledger, 1000)
    assert "40 rows that are kept of 1,000" in note
