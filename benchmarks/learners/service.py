"""The service by its own updates."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.learners.learner import Answers, Learner, given
from benchmarks.running.workbench import SECRET, Model
from benchmarks.streams.frozen import remembering
from benchmarks.streams.stream import Rows, Stream, together
from service.contract.inputs import Architecture, MlpBackbone
from service.contract.reports.facts import Rule
from service.contract.targets import policy_of
from service.learning.methods import AUTO, METHODS
from service.serving.kinds.kind import PredictOptions
from service.worker.assignment import Result

ON_BACKBONE = (AUTO, "ridge", "lda")
"""Learn on the stream's backbone, or a model's defaults; the others train joint retraining's network, but where
`unfreeze` is named: then the backbone's own, or with unfreeze=0 a head on it."""
MEMORY_ROWS = 500
LEVEL = 0.9


def request(words: str, stream: Stream) -> dict[str, Any]:
    """A name with its parameters. Beside its defaults a method gets joint retraining's epochs and 500 kept rows, where
    it keeps some."""
    method, named = given(words)
    if method == AUTO:
        return {"name": AUTO, **named}
    asked = {"epochs": stream.layers.epochs, "memory_rows": MEMORY_ROWS}
    fields = METHODS[method].Params.model_fields
    return {"name": method, **{k: v for k, v in asked.items() if k in fields and fields[k].default}, **named}


def model_of(stream: Stream, architecture: Architecture | None = None, secret: bytes = SECRET) -> Model:
    """A model of the stream, in process."""
    policy = policy_of(stream.target, dict(stream.policy))
    model = Model(stream.input, architecture, policy, secret=secret, target=stream.target)
    model.named = stream.named
    return model


def taught(model: Model, rows: Rows, method: Mapping[str, Any] | str, **more: Any) -> Result:
    """One update by these rows, of classes or of numbers. more: as `Model.learn` takes it."""
    if model.target.kind == "number":
        return model.learn_numbers(rows.inputs, rows.targets[:, None], method, **more)
    return model.learn(rows.inputs, rows.targets.tolist(), method, **more)


def fired(result: Result) -> list[Rule]:
    """The rules of the gate that fired."""
    return [rule for rule in result.report.gate.rules if rule.severity]


def verdict(result: Result) -> str:
    """live, or what it was stopped by: "rejected by 5 forgets"."""
    rules = [rule for rule in fired(result) if rule.severity == "rejected"] or fired(result)
    return f"{rules[0].severity} by " + ", ".join(f"{r.number} {r.name}" for r in rules) if rules else "live"


class Service(Learner):
    """words: see `request` · promote: all updates whatever the gate says of them, or as it says · secret: of folds.

    Before any version is live, the targets so far answer: their mean, or how often each class came.
    """

    def __init__(self, stream: Stream, words: str, promote: bool, secret: bytes = SECRET) -> None:
        self.request = request(words, stream)
        on_backbone = self.request["name"] in ON_BACKBONE or "unfreeze" in self.request
        super().__init__(stream if on_backbone else stream.plain)
        if on_backbone:
            architecture = Architecture(backbone=stream.backbone) if stream.backbone else None
        else:
            architecture = Architecture(backbone=MlpBackbone(name="mlp", hidden=list(stream.layers.hidden)))
        self.model = model_of(self.stream, architecture, secret)
        self.training_seconds = 0.0
        self._promote, self._known = True if promote else None, list[Rows]()

    def learn(self, rows: Rows) -> None:
        self._known.append(rows)
        how = {"seed": self.stream.seed, "promote": self._promote, "source": self.stream.source(rows)}
        made = taught(self.model, rows, self.request, **how)
        self.challenge_seconds = self.model.challenge_seconds
        self.training_seconds = (self.training_seconds or 0.0) + self.model.method_seconds
        self.gate.append(verdict(made))
        self.chosen.append(str(made.method["name"]) if made.method else "none")
        self.challenges = self.model.challenges

    def answer(self, rows: Rows) -> Answers:
        if self.model.live is None:
            self.unanswered += len(rows)
            known = together(self._known).targets
            if self.stream.numbers:
                return Answers(np.full(len(rows), known.mean()))
            names, counts = np.unique(known, return_counts=True)
            return Answers(np.tile(counts / counts.sum(), (len(rows), 1)), [str(name) for name in names])
        predictor = self.model.predictor()
        if self.stream.numbers:
            answer = predictor.answer(rows.inputs, PredictOptions(level=LEVEL))
            intervals = getattr(answer, "intervals", None)
            return Answers(answer.values[:, 0], intervals=None if intervals is None else intervals[:, 0])
        if self.stream.backbone:
            predictor = remembering(predictor, self.model.checkpoint())
        if not self.stream.sourced:
            return Answers(predictor.answer(rows.inputs).values, [*predictor.names])
        probabilities = np.zeros((len(rows), len(predictor.names)))
        for domain in np.unique(rows.domain):
            of_domain = rows.domain == domain
            options = PredictOptions(source=str(domain))
            probabilities[of_domain] = predictor.answer(rows.inputs[of_domain], options).values
        return Answers(probabilities, [*predictor.names])

    @property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.model.live.shards) if self.model.live else 0

    @property
    def kept(self) -> int:
        return self.model.kept_bytes if self.model.live else 0

    @property
    def features(self) -> int:
        if self.model.live is None:
            return 0
        return int(self.model.checkpoint().parts["head.0"]["weight"].shape[1])

    @property
    def details(self) -> dict[str, Any]:
        last = self.model.made.report.method if self.model.made else {}
        return {**last, "challenge_seconds": self.challenge_seconds}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.model.close()
