"""A head for each source: where regions disagree each gets its own, and nobody who names no source notices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from service.contract.enums import Outcome
from service.contract.inputs import Architecture
from service.errors import InvalidContent
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_shard
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.exact.source_heads import LEAST_ROWS
from service.learning.method import Learned, Method
from service.learning.methods.baseline import fine_tune
from service.learning.methods.freeze import lda, ridge
from service.learning.network.checkpoint import Checkpoint, Layout
from service.learning.network.imported import Foreign, imported
from service.learning.run import Run
from service.serving.kinds.kind import PredictOptions
from service.serving.loaded_versions import Loaded
from service.serving.predictor import Predictor
from tests.answering import predict
from tests.learning.exact_help import SECRET, VECTOR, labelled
from tests.learning.memory_data import MemoryData
from tests.updating import make_rows, run_update

NAMED = {"lift": "none"}
EXACT = pytest.mark.parametrize("method", [ridge.METHOD, lda.METHOD])


def batch(k: int, source: str | None, rows: int = 120, turned: bool = False) -> Rows:
    """Two classes change places where `turned`."""
    x, y = labelled(rows, classes=3, seed=k)
    swap = {"class 0": "class 1", "class 1": "class 0"}
    return make_rows(f"bat_{k}", x, [swap.get(name, name) if turned else name for name in y], SECRET, source)


def regions(n: int = 4) -> list[Rows]:
    return [batch(k, ["north", "south"][k % 2], turned=bool(k % 2)) for k in range(n)]


def learn(method: Method, base: Checkpoint | None, known: Sequence[Rows], new: Rows, **params: object) -> Learned:
    data = MemoryData(VECTOR, Architecture(), known, new)
    return method.update(base, data, method.Params.model_validate({**NAMED, **params}), Run())


def learned(method: Method, parts: Sequence[Rows], **params: object) -> Learned:
    made = None
    for k, part in enumerate(parts):
        made = learn(method, made.checkpoint if made else None, parts[:k], part, **params)
    assert made is not None
    return made


def accuracy(checkpoint: Checkpoint, rows: Rows, source: str | None) -> float:
    predictor = Predictor(checkpoint)
    answers = predictor.answer(rows.inputs, PredictOptions(source=source)).values.argmax(1)
    return float(np.mean([predictor.names[k] == label for k, label in zip(answers, rows.label_names(), strict=True)]))


def bits(checkpoint: Checkpoint) -> dict[str, bytes]:
    order = np.argsort(checkpoint.classes)
    return {
        part: pack_shard({name: tensor[order] for name, tensor in tensors.items()})
        for part, tensors in checkpoint.parts.items()
        if part.split(".")[0] in ("head", "judge")
    }


@EXACT
def test_each_region_is_answered_by_its_own_head_and_no_region_by_the_shared_one(method: Method) -> None:
    made = learned(method, regions())
    north, south = batch(10, None), batch(11, None, turned=True)
    checkpoint = made.checkpoint
    assert checkpoint.layout.sources == ["north", "south"]
    assert accuracy(checkpoint, north, "north") > 0.9
    assert accuracy(checkpoint, south, "south") > 0.9
    assert accuracy(checkpoint, north, None) == accuracy(checkpoint, north, "east"), "nobody knows the east"
    assert accuracy(checkpoint, north, None) < 0.9
    plain = learned(method, regions(), per_source=False).checkpoint
    assert plain.layout.sources == []
    assert pack_shard(plain.parts["head.0"]) == pack_shard(checkpoint.parts["head.0"]), "the shared head is the same"
    assert any("heads of their own" in note for note in made.notes)
    tensors = {f"{p}/{n}": t.numpy() for p, ts in checkpoint.parts.items() for n, t in ts.items()}
    layout = checkpoint.layout.model_dump(mode="json")
    again = imported(Foreign(tensors, checkpoint.classes, layout), VECTOR, lambda _: {})
    assert accuracy(again, south, "south") == accuracy(checkpoint, south, "south"), "it goes out and comes in"
    del tensors["head.source.1/bias"]
    with pytest.raises(InvalidContent, match=r"head\.source\.1"):
        imported(Foreign(tensors, checkpoint.classes, layout), VECTOR, lambda _: {})
    right = np.array(checkpoint.classes)[made.out_of_fold.argmax(1)] == np.array(regions()[-1].label_names())
    assert right.mean() > 0.9, "out of fold by the head of the source, too"


def test_every_version_is_judged_by_the_head_of_each_rows_source() -> None:
    parts, number = regions(6), 5
    base = learned(ridge.METHOD, parts[:number], lift="none").checkpoint
    data = MemoryData(VECTOR, Architecture(), parts[:number], parts[number])
    made = run_update(base, data, ridge.METHOD, ridge.Params(lift="none"), Run(), ClassContext(live=number))
    assert made.report.gate.outcome is Outcome.PASS, made.report.gate.why
    assert made.report.before.accuracy > 0.9
    assert made.report.after.accuracy > 0.9
    assert made.report.exact
    alone = run_update(
        base, data, ridge.METHOD, ridge.Params(lift="none", per_source=False), Run(), ClassContext(live=number)
    )
    assert alone.report.after.accuracy < 0.9, "without them the regions get in each other's way"


@EXACT
def test_a_batch_that_is_taken_back_leaves_the_bits_of_never_having_seen_it(method: Method) -> None:
    parts, none = regions(6), Rows.empty(VECTOR.shape)
    everything = learned(method, parts).checkpoint
    left = [parts[k] for k in (0, 1, 2, 4, 5)]
    taken_back = learn(method, everything, left, none).checkpoint
    never = learn(method, learned(method, left).checkpoint, left, none).checkpoint
    assert taken_back.layout.sources == ["north", "south"]
    assert bits(taken_back) == bits(never)
    north = [parts[k] for k in (0, 2, 4)]
    assert learn(method, everything, north, none).checkpoint.layout.sources == [], "a source without rows leaves"


def test_where_sources_agree_auto_asks_what_true_forces() -> None:
    alike = [batch(k, ["north", "south"][k % 2]) for k in range(4)]
    forced = learned(ridge.METHOD, alike, per_source=True)
    assert forced.checkpoint.layout.sources == ["north", "south"]
    tried = forced.details["source_pulls_tried"]
    used = learned(ridge.METHOD, alike).checkpoint.layout.sources
    best = max(share for name, share in tried.items() if name != "shared")
    assert bool(used) == (best >= tried["shared"])
    few = [batch(0, "north"), batch(1, "south", rows=LEAST_ROWS)]
    refused = learned(ridge.METHOD, few, per_source=True)
    assert refused.checkpoint.layout.sources == [], "too few to choose by"
    assert any("No source has a head of its own" in note for note in refused.notes)
    assert not any("No source has" in note for note in [*forced.notes, *learned(ridge.METHOD, few).notes])
    assert learned(ridge.METHOD, [batch(0, None), batch(1, None)], per_source=True).checkpoint.layout.sources == []


def test_a_class_that_a_region_has_never_shown_is_answered_there_by_what_others_know() -> None:
    x, y = labelled(300, classes=4, seed=3)
    everywhere = make_rows("bat_0", x[:200], y[:200], SECRET, "north")
    known = [k for k in range(200, 300) if y[k] != "class 3"]
    somewhere = make_rows("bat_1", x[known], [y[k] for k in known], SECRET, "south")
    checkpoint = learned(ridge.METHOD, [everywhere, somewhere], per_source=True).checkpoint
    assert "south" in checkpoint.layout.sources
    new = make_rows("bat_2", *_only(*labelled(200, classes=4, seed=8), "class 3"), SECRET)
    assert accuracy(checkpoint, new, "south") > 0.8


def _only(x: np.ndarray, y: list[str], name: str) -> tuple[np.ndarray, list[str]]:
    places = [k for k, label in enumerate(y) if label == name]
    return x[places], [name] * len(places)


def test_decay_and_heads_of_sources_go_together() -> None:
    made = learned(ridge.METHOD, regions(6), decay=0.7)
    assert made.checkpoint.layout.sources == ["north", "south"]
    assert accuracy(made.checkpoint, batch(20, None, turned=True), "south") > 0.9


def test_a_trained_head_takes_the_place_of_all_of_them() -> None:
    parts = regions()
    base = learned(ridge.METHOD, parts).checkpoint
    data = MemoryData(VECTOR, Architecture(), parts, batch(9, None))
    trained = fine_tune.METHOD.update(base, data, fine_tune.METHOD.Params(), Run())
    assert trained.checkpoint.layout.sources == []
    assert not any("source" in part for part in trained.checkpoint.parts)


def test_versions_from_before_know_no_sources() -> None:
    checkpoint = learned(ridge.METHOD, regions(2), per_source=False).checkpoint
    old = checkpoint.layout.model_dump(mode="json")
    del old["sources"]
    assert Layout.model_validate(old).sources == []
    loaded = Loaded(1, "m", 1, "", Predictor(checkpoint))
    rows = batch(3, None).inputs[:4]
    assert predict(loaded, rows, PredictOptions(2, "north")).json() == predict(loaded, rows, PredictOptions(2)).json()
