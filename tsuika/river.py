"""river's face of a model: rows come one at a time and are learned in batches, on the service.

A version is made, judged and served for each batch, so between two batches predictions are those of the one before.
Rows that wait are in this process alone: `flush` before it ends.
"""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from river import base

from service.client import Client, NotFound, NotLive, RemoteModel, Result
from service.client.kinds.classes import class_name
from service.client.learning import UpdateOptions
from service.client.rows.guess import guess
from service.guessing.column_names import column_names

Row = dict[Any, Any]


class _Buffered:
    """Rows that wait until there are enough of them."""

    _target: ClassVar[dict[str, str]]

    def __init__(
        self,
        model: str,
        batch_rows: int = 200,
        *,
        url: str | None = None,
        key: str | None = None,
        new_classes: str = "refuse",
    ) -> None:
        """model: its name; without such a model it is made of the first batch. batch_rows: that many rows are learned
        together. url, key: of the service, as of Client. new_classes: "allow" takes labels, after the first batch, that
        the model does not know."""
        self.model = model
        self.batch_rows = batch_rows
        self.url = url
        self.key = key
        self.new_classes = new_classes
        self._rows: list[Row] = []
        self._labels: list[Any] = []
        self._meant: dict[str, Any] = {}  # names of classes -> the labels that they were
        self._remote: RemoteModel | None = None

    def learn_one(self, x: Row, y: Any) -> None:
        """Keeps a row; with the last one of a batch, learns it. Raises as `flush`."""
        self._rows.append(_named(x))
        self._labels.append(y)
        if len(self._rows) >= self.batch_rows:
            self.flush()

    def flush(self, **options: Unpack[UpdateOptions]) -> Result | None:
        """Learns the rows that wait; -> what became of them, None where none waits. What is refused (UnknownLabels, for
        one) goes on waiting: `flush` it again with other options, or `discard` it."""
        if not self._rows:
            return None
        options.setdefault("new_classes", self.new_classes)
        result = self._made().push(self._rows, self._labels, **options)
        self.discard()
        return result

    def discard(self) -> None:
        """Forgets the rows that wait."""
        self._rows, self._labels = [], []

    def _made(self) -> RemoteModel:
        """The model, which is made of the rows that wait where there is none."""
        if self._remote is None:
            client = Client(self.url, self.key)
            remote = client.model(self.model)
            try:
                remote.info()
            except NotFound:
                spec = guess(self._rows, labels=[]).input
                remote = client.create_model(self.model, spec, target=self._target)
            self._remote = remote
        return self._remote

    def _answer(self, x: Row, **options: Any) -> Any:
        """The answer to a row; None before the first batch is live."""
        remote = self._remote or Client(self.url, self.key).model(self.model)
        try:
            return remote.predict([_named(x)], **options)
        except (NotFound, NotLive):
            return None


def _named(x: Row) -> dict[str, Any]:
    """A row with names as a model has them. Raises ValueError where two cells have one name."""
    return dict(zip(column_names(x, "this row"), x.values(), strict=True))


class TsuikaClassifier(_Buffered, base.Classifier):
    """A model of classes on a service. Classes come back as the labels that were learned here, else as text."""

    _target: ClassVar[dict[str, str]] = {"kind": "class"}

    def learn_one(self, x: Row, y: Any) -> None:
        self._meant[class_name(y)] = y
        super().learn_one(x, y)

    def predict_proba_one(self, x: Row, **_: Any) -> dict[Any, float]:
        """The probability of each class; {} before the first batch is live."""
        answer = self._answer(x, top=1000)
        shares = [] if answer is None else answer.predictions[0].top
        return {self._meant.get(share.class_, share.class_): share.score for share in shares}

    def predict_one(self, x: Row, **_: Any) -> Any:
        """The best class; None before the first batch is live."""
        answer = self._answer(x)
        return None if answer is None else self._meant.get(answer.classes[0], answer.classes[0])

    @property
    def _multiclass(self) -> bool:
        return True


class TsuikaRegressor(_Buffered, base.Regressor):
    """A model of a number on a service."""

    _target: ClassVar[dict[str, str]] = {"kind": "number"}

    def predict_one(self, x: Row) -> float:
        """The number; 0 before the first batch is live."""
        answer = self._answer(x)
        return 0.0 if answer is None else float(answer.values[0])
