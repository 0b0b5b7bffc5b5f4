"""Avalanche's strategies on our streams: `pip install -e '.[peers]'`. This file alone imports it.

They get the kinder rules. Outputs for all classes are there from the start, and only those of known classes are asked;
every row of a batch is trained on, where ours keep three in ten back for the judge; the rate is joint retraining's, and
each strategy chooses among the points of its grid by the accuracy after the last batch, on a fifth of the training rows
of the whole stream, which no update knows when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Any

import numpy as np
import torch

from benchmarks.learners.learner import Answers, Learner, given
from benchmarks.learners.network import BATCH, MOMENTUM, encoder, network_of
from benchmarks.learners.service import MEMORY_ROWS
from benchmarks.streams.stream import Rows, Stream
from service.errors import MethodRefused

Point = Mapping[str, Any]
SLOWER, LONGER = "slower", "longer"
"""Of a point of a grid: by how much the rate is smaller, and epochs are more; all else goes to the strategy."""


@dataclass(frozen=True)
class Strategy:
    """name: in avalanche.training · grid: points, the plain one first · copies: of the weights that it keeps, its own
    and importances · memory: its parameter for kept rows, if it keeps some · fixed: further parameters."""

    name: str
    grid: tuple[Point, ...] = ({},)
    copies: int = 1
    memory: str = ""
    fixed: Point = field(default_factory=dict)


def _strengths(name: str) -> tuple[Point, ...]:
    return tuple({name: 100.0**k, SLOWER: 3} for k in range(4))


ONCE_OR_SLOWER: tuple[Point, ...] = ({SLOWER: 1}, {SLOWER: 3})
STRATEGIES = {
    "naive": Strategy("Naive"),
    "ewc": Strategy("EWC", _strengths("ewc_lambda"), 3, fixed={"mode": "online", "decay_factor": 1.0}),
    "si": Strategy("SynapticIntelligence", _strengths("si_lambda"), 8),
    "mas": Strategy("MAS", ({"lambda_reg": 0.01, SLOWER: 3}, *_strengths("lambda_reg")), 3),
    "lwf": Strategy(
        "LwF", tuple({"alpha": a, SLOWER: n} for a in (1, 5) for n in (1, 10)), 2, fixed={"temperature": 2}
    ),
    "replay": Strategy("Replay", ONCE_OR_SLOWER, memory="mem_size"),
    "gdumb": Strategy("GDumb", ({LONGER: 1}, {LONGER: 5}), memory="mem_size"),
    "der++": Strategy(
        "DER", tuple({"alpha": 0.2, "beta": b, SLOWER: n} for b in (0.5, 1) for n in (1, 3)), memory="mem_size"
    ),
    "er-ace": Strategy("ER_ACE", ONCE_OR_SLOWER, memory="mem_size", fixed={"batch_size_mem": BATCH}),
    "icarl": Strategy(
        "ICaRL", ONCE_OR_SLOWER, memory="memory_size", fixed={"buffer_transform": None, "fixed_memory": True}
    ),
    "slda": Strategy("StreamingLDA", ({"shrinkage_param": 1e-4}, {"shrinkage_param": 1e-2})),
}
AVALANCHE = tuple(f"Avalanche {name}" for name in STRATEGIES)
_chosen: dict[tuple[str, str], Point] = {}


class Avalanche(Learner):
    """words: a name, with parameters of its own behind colons, which then are not chosen: "Avalanche gdumb:longer=5",
    and memory_rows of the kept rows."""

    def __init__(self, stream: Stream, words: str, point: Point | None = None) -> None:
        super().__init__(stream.plain)
        name, self._point = given(words)
        self._strategy = STRATEGIES[name.removeprefix("Avalanche ")]
        self._memory = self._point.pop("memory_rows", MEMORY_ROWS)
        if not self._point:
            self._point = dict(_best(self.stream, words) if point is None else point)
        batches = self.stream.batches
        new, self._names = list[int](), list[str]()
        for rows in batches:
            arrived = sorted({*rows.targets.tolist()} - {*self._names})
            new.append(len(arrived))
            self._names += arrived
        self._known = 0
        self._new = iter(new)
        self._encode = encoder(self.stream, batches[0])
        self._experiences = iter(self._benchmark(batches, new).train_stream)
        self._width = self._encode(batches[0].take(np.arange(1))).shape[1]
        self._made: Any = None

    def _benchmark(self, batches: list[Rows], new: list[int]) -> Any:
        from avalanche.benchmarks import benchmark_from_datasets
        from avalanche.benchmarks.utils import _make_taskaware_tensor_classification_dataset as dataset

        codes = {name: k for k, name in enumerate(self._names)}
        made = benchmark_from_datasets(
            train=[
                dataset(
                    torch.from_numpy(self._encode(rows)), torch.tensor([codes[name] for name in rows.targets.tolist()])
                )
                for rows in batches
            ]
        )
        made.n_classes_per_exp, made.classes_order = new, [*range(len(self._names))]  # iCaRL looks for both
        for experience in made.train_stream:
            experience.benchmark = made
        return made

    def _make(self) -> Any:
        from avalanche import training

        layers, seed, kind = self.stream.layers, self.stream.seed, self._strategy
        assert layers.lr is not None
        classes = len(self._names)
        network = network_of((self._width, *layers.hidden, classes), seed)
        more = {k: v for k, v in self._point.items() if k not in (SLOWER, LONGER)} | dict(kind.fixed)
        more |= {kind.memory: self._memory} if kind.memory else {}
        if kind.name == "StreamingLDA":
            more |= {"slda_model": torch.nn.Identity(), "input_size": self._width, "num_classes": classes}
        else:
            rate = layers.lr / self._point.get(SLOWER, 1)
            more["optimizer"] = torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)
            more["train_epochs"] = layers.epochs * self._point.get(LONGER, 1)
        if kind.name == "ICaRL":
            more |= {"feature_extractor": network[:-1], "classifier": network[-1]}
        else:
            more["criterion"] = torch.nn.CrossEntropyLoss()
            more |= {} if kind.name == "StreamingLDA" else {"model": network}
        torch.manual_seed(seed)
        return getattr(training, kind.name)(train_mb_size=BATCH, eval_mb_size=256, evaluator=None, **more)

    def learn(self, rows: Rows) -> None:
        new = next(self._new)
        if self._strategy.name == "ICaRL" and self._known and not new:
            raise MethodRefused("Avalanche's iCaRL learns new classes in every batch, and this one has none.")
        self._known += new
        try:
            with redirect_stderr(StringIO()):  # what it says of its own next release
                self._made = self._made or self._make()
                self._made.train(next(self._experiences))
        except Exception as error:  # whatever this release of it raises: the others go on
            raise MethodRefused(f"Avalanche's {self._strategy.name} failed: {error!r}") from error

    def answer(self, rows: Rows) -> Answers:
        x, model = torch.from_numpy(self._encode(rows)), self._made.model
        model.eval()
        with torch.no_grad():
            scores = self._made.predict(x) if self._strategy.name == "StreamingLDA" else model(x)
        model.train()
        return Answers(scores[:, : self._known].double().numpy(), self._names[: self._known])

    @property
    def bytes(self) -> int:
        """Copies of the weights and the kept rows, as floats; of slda the means and covariances."""
        if self._strategy.name == "StreamingLDA":
            return sum(4 * t.numel() for t in (self._made.muK, self._made.cK, self._made.Sigma, self._made.Lambda))
        weights = sum(4 * p.numel() for p in self._made.model.parameters())
        return self._strategy.copies * weights + (4 * self._memory * self._width if self._strategy.memory else 0)

    @property
    def details(self) -> dict[str, Any]:
        return {**self._point, "memory_rows": self._memory if self._strategy.memory else 0}


def _best(stream: Stream, words: str) -> Point:
    """The point of its grid that does best on rows kept back, of half of the others; once in a process for a stream."""
    strategy = STRATEGIES[given(words)[0].removeprefix("Avalanche ")]
    if (stream.name, words) not in _chosen:
        tried = replace(stream, test=None).aside()
        tried = replace(tried, parts=[part[::2] for part in tried.parts])
        scores = [_accuracy(tried, words, point) for point in strategy.grid] if len(strategy.grid) > 1 else [0.0]
        _chosen[stream.name, words] = strategy.grid[int(np.argmax(scores))]
    return _chosen[stream.name, words]


def _accuracy(stream: Stream, words: str, point: Point) -> float:
    learner, test = Avalanche(stream, words, point), stream.test
    assert test is not None
    try:
        for rows in stream.batches:
            learner.learn(rows)
    except MethodRefused:
        return 0.0
    answers = learner.answer(test)
    return float((np.array(answers.names)[answers.values.argmax(1)] == test.targets).mean())
