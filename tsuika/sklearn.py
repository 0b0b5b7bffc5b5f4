"""scikit-learn's face of a model: what learns and predicts is the service; pipelines, searches and scores take it.

The first rows of a model without a name make a model of their own each time they are fitted, as scikit-learn means it;
`partial_fit` goes on with the model that is named.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from service.client import Client, NotFound, RemoteModel
from service.client.kinds.classes import class_name
from service.client.rows.guess import guess
from service.client.rows.table_rows import is_frame, name_cells
from service.contract.enums import Verdict
from service.contract.inputs import places_of
from service.contract.predictions import AnyPredictions, NumberPredictions, Predictions
from service.contract.resources import Model, Update
from service.guessing.column_facts import vector_of
from service.guessing.column_names import column_names

HIDDEN = "…"
"""Stands for a key."""


class _Face(BaseEstimator):
    """What both have in common. After a fit, `model_` is the name of the model, and `version_` the version that
    answers: None for the live one, a number where the gate did not let the fitted one go live."""

    _target: ClassVar[dict[str, str]]

    def __init__(
        self,
        model: str | None = None,
        *,
        url: str | None = None,
        key: str | None = None,
        settings: dict[str, Any] | None = None,
        seconds: float = 600.0,
    ) -> None:
        """model: its name; without one each fit makes a model, whose name begins with sklearn-. url, key: of the
        service, as of Client; a key in TSUIKA_KEY is neither pickled nor shown by the pipeline or search that
        holds this. settings: of a model that is made, as of `Client.create_model`. seconds: longest wait for a fit."""
        self.model = model
        self.url = url
        self.key = key
        self.settings = settings
        self.seconds = seconds

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """The parameters that are not the default, without the key."""
        plain = type(self)()
        changed = {n: v for n, v in self.get_params(deep=False).items() if v != getattr(plain, n)}
        shown = (f"{name}={HIDDEN if name == 'key' else repr(value)}" for name, value in changed.items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def _get_params_html(self, *args: Any, **options: Any) -> Any:
        """What a notebook lists, without the key."""
        params = super()._get_params_html(*args, **options)
        if params["key"] is not None:
            params["key"] = HIDDEN
        return params

    def _make(self, X: Any) -> None:
        """Makes a model of such rows. Raises Conflict where one of that name exists."""
        self.model_ = self.model or f"sklearn-{uuid.uuid4().hex[:12]}"
        self.version_: int | None = None
        settings = {"target": self._target, **(self.settings or {})}
        spec = guess(X, labels=[]).input
        if spec["kind"] == "vector":
            spec = vector_of(self._names_of_columns(), spec["size"])
        _client(self.url, self.key).create_model(self.model_, spec, **settings)

    def _names_of_columns(self) -> list[str]:
        """Those of the frame of the first fit, as a model has them; none of arrays. Later frames have the same in the
        same order, which scikit-learn checks."""
        return column_names(getattr(self, "feature_names_in_", ()), "this frame")

    def _check_names(self, model: Model) -> None:
        """Raises ValueError where a model that is there has names of columns, and a frame of numbers has others."""
        names, due = self._names_of_columns(), [*places_of(model.input)]
        if not self._table and names and due and names != due:
            wrong = next((name for name in due if name not in names), None)
            raise ValueError(
                f"The columns of this frame are not those of {model.name}, in its order: "
                + (f'"{wrong}" is missing.' if wrong is not None else f"{', '.join(due)[:1000]}.")
            )

    def _handle(self) -> RemoteModel:
        return _client(self.url, self.key).model(self.model_)

    def _learn(self, X: Any, y: Any, first: bool, new_classes: str | None = None) -> None:
        """Learns. Raises NotLearned where the update failed; warns where the gate did not let its version go live."""
        result = self._handle().push(X, y, new_classes=new_classes, wait=self.seconds, on_progress=_no_bar)
        if result.verdict is Verdict.PROMOTED:
            self.version_ = None
            return
        if result.verdict is None:
            result.raise_if_rejected()
            return
        if first:
            self.version_ = result.version
        warnings.warn(result.sentence, UserWarning, stacklevel=3)

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        """Rows and targets; frames with more than numbers stay frames."""
        _check_unnamed(X)
        if first:
            self._table = is_frame(X) and _is_table(X)
        if not self._table:
            return validate_data(self, X, y, reset=first, dtype=np.float32)  # type: ignore[no-any-return]
        validate_data(self, X, skip_check_array=True, reset=first)
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        return X, y

    def _asked(self, X: Any) -> Any:
        """Rows to predict. Raises NotFittedError, and ValueError where they are no rows of the fitted columns."""
        check_is_fitted(self)
        _check_unnamed(X)
        return X if self._table else validate_data(self, X, reset=False, dtype=np.float32)

    def _predicted(self, X: Any) -> AnyPredictions:
        rows = self._asked(X)
        return self._handle().predict(rows, version=self.version_)


class TsuikaClassifier(ClassifierMixin, _Face):
    """A model of classes on a service. `classes_`: sorted, in the type in which they were given."""

    _target: ClassVar[dict[str, str]] = {"kind": "class"}

    def fit(self, X: Any, y: Any) -> Self:
        """Learns these rows alone, in a new model."""
        X, y = self._labelled(X, y, first=True)
        self.classes_ = np.unique(y)
        self._make(X)
        self._learn(X, _names(y), first=True)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Sequence[Any] | None = None) -> Self:
        """Learns these rows on top of what the model knows. classes: adds classes, now or later; without it the first
        call adds those of `y`, and another label is refused afterwards (UnknownLabels)."""
        first = not hasattr(self, "model_")
        X, y = self._labelled(X, y, first)
        known = self._begin(X, y.dtype) if first else self.classes_
        if classes is not None or not len(known):
            self.classes_ = np.unique(np.concatenate([known, np.unique(y if classes is None else classes)]))
        elif first:
            self.classes_ = known
        meant = set(_names(y)) <= set(_names(self.classes_))
        self._learn(X, _names(y), first, new_classes="allow" if meant else None)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The best class of each row."""
        answer = self._predicted(X)
        assert isinstance(answer, Predictions)
        return _values(answer.classes, self.classes_.dtype)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each of `classes_`, [n, classes]; 0 of those that the version does not know."""
        rows = self._asked(X)
        answer = self._handle().predict_proba(rows, version=self.version_)
        places = {name: k for k, name in enumerate(answer.classes)}
        probabilities = np.zeros((len(answer), len(self.classes_)))
        for column, name in enumerate(_names(self.classes_)):
            if name in places:
                probabilities[:, column] = answer.values[:, places[name]]
        return probabilities

    def _labelled(self, X: Any, y: Any, first: bool) -> tuple[Any, NDArray[Any]]:
        X, y = self._checked(X, y, first)
        check_classification_targets(y)
        return X, np.asarray(y)

    def _begin(self, X: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """-> the classes of the model that is named, which is made where there is none"""
        if self.model is not None:
            try:
                known = _client(self.url, self.key).model(self.model).info()
            except NotFound:
                pass
            else:
                self._check_names(known)
                self.model_, self.version_ = self.model, None
                return _values(known.classes, dtype)
        self._make(X)
        return np.array([], dtype)


class TsuikaRegressor(RegressorMixin, _Face):
    """A model of a number on a service."""

    _target: ClassVar[dict[str, str]] = {"kind": "number"}

    def fit(self, X: Any, y: Any) -> Self:
        """Learns these rows alone, in a new model."""
        X, y = self._numbers(X, y, first=True)
        self._make(X)
        self._learn(X, y, first=True)
        return self

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Learns these rows on top of what the model knows."""
        first = not hasattr(self, "model_")
        X, y = self._numbers(X, y, first)
        if first:
            try:
                if self.model is None:
                    self._make(X)
                else:
                    self._check_names(_client(self.url, self.key).model(self.model).info())
                    self.model_, self.version_ = self.model, None
            except NotFound:
                self._make(X)
        self._learn(X, y, first)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The number of each row."""
        answer = self._predicted(X)
        assert isinstance(answer, NumberPredictions)
        return np.array(answer.values, np.float64)

    def _numbers(self, X: Any, y: Any, first: bool) -> tuple[Any, NDArray[np.float64]]:
        X, y = self._checked(X, y, first)
        return X, np.asarray(y, np.float64)


@lru_cache(8)
def _client(url: str | None, key: str | None) -> Client:
    """One client a service: an estimator holds none, so that it can be copied and pickled."""
    return Client(url, key)


def _check_unnamed(rows: Any) -> None:
    """Raises ValueError for rows that name their cells and are no frame: scikit-learn would read them by position."""
    if not is_frame(rows) and name_cells(rows):
        raise ValueError("These rows name their cells, and scikit-learn reads the names of frames alone: send a frame.")


def _is_table(frame: Any) -> bool:
    """Whether a frame holds more than numbers."""
    return any(column["kind"] != "number" for column in guess(frame, labels=[]).input["columns"])


def _names(labels: NDArray[Any]) -> list[str]:
    """Labels as names of classes."""
    return [class_name(label) for label in labels.tolist()]


def _values(names: Sequence[str], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Names of classes in the type in which labels were given."""
    if dtype.kind == "b":
        return np.array([name == "true" for name in names], bool)
    return np.array(names, None if dtype.kind in "USOT" else dtype)


def _no_bar(update: Update) -> None:
    """A search fits many times."""
