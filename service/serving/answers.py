"""A version's answer to rows, written as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from service.errors import KnowsNothing
from service.intake.kinds.tables import ValueNames
from service.learning.evaluation.numbers.bounds import INTERVAL
from service.serving.kinds.kind import USUAL, PredictOptions, RowAnswers
from service.serving.kinds.output_tensors import OutputTensor
from service.serving.loaded_versions import Loaded
from service.serving.notes import unlearned, unusual

PIECE = 256
"""Scores that are written at once: about 0.1 ms."""


@dataclass(eq=False)
class Answer:
    """What one version answers to n rows, as these options asked. `names`: values of open categories in the rows, of a
    table, by their code; `of_file`: notes on the file that they came in."""

    loaded: Loaded
    answers: RowAnswers
    options: PredictOptions = USUAL
    names: ValueNames = field(default_factory=dict)
    of_file: Sequence[str] = ()

    @property
    def version(self) -> int:
        return self.loaded.number

    def json(self) -> bytes:
        """{"model", "version", "predictions": [...]}: a prediction a row, and other members, as the kind of target has
        them; "notes" where there are any."""
        rows = self.loaded.predictor.kind.rows(self.answers, self.options)
        return f"{self._head()}{rows}{self._tail()}".encode()

    def pieces(self) -> Iterator[bytes]:
        """Yields the same JSON in pieces, so that other requests have their turn while a long answer is written."""
        kind, options, rows = self.loaded.predictor.kind, self.options, len(self.answers.values)
        at_once = max(PIECE // kind.scores(options), 1)
        before = self._head()
        for start in range(0, rows, at_once):
            part = self.answers.part(start, min(start + at_once, rows), options)
            yield f"{before}{kind.rows(part, options)}".encode()
            before = ","
        yield self._tail().encode()

    def tensor(self, output: str) -> OutputTensor:
        """An output of the Open Inference Protocol."""
        return self.loaded.predictor.kind.tensor(output, self.answers)

    def _head(self) -> str:
        loaded = self.loaded
        members = loaded.predictor.kind.members(self.options)
        # a model's name has letters, digits, dots and dashes: nothing to escape
        return f'{{"model":"{loaded.model}","version":{loaded.number},{members}"predictions":['

    def _tail(self) -> str:
        """The end of the JSON, with notes if there are any."""
        notes = self.notes
        return f'],"notes":{msgspec.json.encode(notes).decode()}}}' if notes else "]}"

    @property
    def notes(self) -> list[str]:
        predictor = self.loaded.predictor
        notes = list(self.of_file)
        if self.names:
            notes += unlearned(self.names, predictor.known, predictor.input, self.version)
        if (marks := self.answers.marks) is not None:
            intervals = INTERVAL in predictor.kind.outputs
            notes += unusual(marks, predictor.usual, predictor.input, self.version, intervals)
        return notes


def is_long(loaded: Loaded, rows: int, options: PredictOptions) -> bool:
    """Whether an answer is written in more than one piece."""
    return rows * loaded.predictor.kind.scores(options) > PIECE


def check_knows(loaded: Loaded) -> None:
    """Raises KnowsNothing for a version whose answers have no columns."""
    if not loaded.predictor.names:
        raise KnowsNothing(f"Version {loaded.number} of {loaded.model}", loaded.predictor.kind.ignorance)
