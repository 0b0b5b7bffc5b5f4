"""What the client makes of several answers: probabilities as a matrix, two versions beside each other, suspect rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from service.client.errors import ClientError
from service.client.kinds import KINDS
from service.contract.predictions import AnyPredictions, Predictions
from service.contract.reports import AnySuspect
from service.contract.version_resources import Version

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CLASSES = 1000
"""Classes that an answer lists of a row."""


@dataclass(frozen=True, eq=False)
class Probabilities:
    """One row of `values` for each row asked, one column for each of `classes`, which are sorted by name."""

    version: int
    classes: list[str]
    values: NDArray[Any]

    @classmethod
    def of(cls, answer: Predictions) -> Probabilities:
        """Raises ClientError where the model has more classes than an answer lists."""
        import numpy as np

        listed = [{share.class_: share.score for share in row.top} for row in answer.predictions]
        classes = sorted(listed[0]) if listed else []
        if len(classes) >= MOST_CLASSES:
            raise ClientError(
                f"Probabilities are listed of at most {MOST_CLASSES - 1} classes. Ask predict for the best of each row "
                "(top=10), or the output scores of POST /v2/models/{model}/infer."
            )
        values = np.array([[shares[name] for name in classes] for shares in listed]).reshape(len(listed), len(classes))
        return cls(answer.version, classes, values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        import numpy as np

        return np.array(self.values, dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]


@dataclass(frozen=True)
class SuspectRows(Sequence[AnySuspect]):
    """Rows of a batch that most likely carry a wrong label, or a target far from what was expected, likeliest first.
    `note`: what they were judged by, and what to do; `version`: whose report names them, None where none has learned
    any."""

    rows: list[AnySuspect]
    note: str
    version: int | None

    @overload
    def __getitem__(self, index: int) -> AnySuspect: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnySuspect]: ...
    def __getitem__(self, index: int | slice) -> AnySuspect | list[AnySuspect]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two versions on the same rows. `differ`: numbers of the rows that they answer differently; `scores`: share of
    right answers of each, or their mean error where numbers are predicted; None without labels."""

    first: Version
    second: Version
    rows: int
    differ: list[int]
    scores: tuple[float, float] | None
    predicts: str

    @classmethod
    def of(
        cls, versions: tuple[Version, Version], answers: Sequence[AnyPredictions], labels: Sequence[Any] | None
    ) -> Comparison:
        """`labels`: plain ones, None where nobody knows."""
        kind = KINDS[answers[0].kind]
        one, other = map(kind.answered, answers)
        differ = [k for k, (left, right) in enumerate(zip(one, other, strict=True)) if left != right]
        known = [k for k, label in enumerate(labels or ()) if label is not None]
        scores = None
        if labels is not None and known:
            sums = [sum(kind.scored(said[k], labels[k]) for k in known) for said in (one, other)]
            scores = sums[0] / len(known), sums[1] / len(known)
        return cls(*versions, len(one), differ, scores, answers[0].kind)

    @property
    def sentence(self) -> str:
        """What they have in common and what not."""
        names = f"Versions {self.first.number} and {self.second.number}"
        added = [name for name in self.second.classes if name not in self.first.classes]
        lost = [name for name in self.first.classes if name not in self.second.classes]
        said = f"{names} answer {len(self.differ):,} of {self.rows:,} rows differently." if self.rows else f"{names}."
        if self.scores is not None:
            kind = KINDS[self.predicts]
            said += f" {kind.score}: {' and '.join(map(kind.written, self.scores))}."
        said += f" The second also knows {', '.join(added)}." if added else ""
        return said + (f" It does not know {', '.join(lost)}." if lost else "")

    def __repr__(self) -> str:
        return self.sentence
