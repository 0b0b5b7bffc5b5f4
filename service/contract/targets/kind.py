"""The contract of a kind of target: what others ask of it, instead of which kind it is."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from service.contract.enums import Expect
from service.contract.inputs import InputSpec
from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.strict import Strict

AnyPolicy = GatePolicy | NumberPolicy


class TargetKind(Strict):
    """What a model predicts of a row."""

    member: ClassVar[Literal["labels", "targets"]]
    """The member of a body that holds it, one a row."""
    noun: ClassVar[Literal["label", "target"]]
    """What a row has of it."""
    predicts: ClassVar[str]
    """What answers are, in the plural."""
    has_classes: ClassVar[bool]
    """Whether there is a vocabulary: rows count by their label, classes are added."""
    measured: ClassVar[bool]
    """Whether it is a measurement, or several: cells of files that hold it are read as numbers, and inputs are scaled
    for a regression."""
    suspects: ClassVar[Literal["suspect_rows", "outliers"]]
    """The member of `report.batch` that lists rows which may be wrong."""
    expects: ClassVar[Expect]
    """What an update may say beforehand of rows that change on purpose."""
    changes: ClassVar[tuple[str, ...]] = ()
    """Members that may change once the model is made."""
    Policy: ClassVar[type[AnyPolicy]]
    """By which the gate judges."""

    @property
    def columns(self) -> int:
        """Columns of a file that hold it."""
        return 1

    @property
    def named(self) -> tuple[str, ...]:
        """Names that were given to these columns; none where none were."""
        return ()

    @property
    def fits_grid(self) -> bool:
        """Whether it is summed on a grid that is fitted to the first batch, so that no other service has the same."""
        return False

    def with_clean_names(self) -> Self:
        """The same with its names as they are stored. Raises InvalidContent."""
        return self

    def check(self, spec: InputSpec) -> None:
        """Raises InvalidContent where it does not fit such inputs."""
