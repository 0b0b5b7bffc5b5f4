"""Bodies of models of classes: a label a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.api.reader.kinds.kind import Kind, Rights
from service.contract.names import clean_class_name
from service.contract.targets.class_target import ClassTarget
from service.intake.kinds.labels import read_labels, text_of
from service.learning.data.matrices import Array, Floats


class ClassKind(Kind[ClassTarget]):
    def read(self, listed: Any, inputs: Array) -> tuple[Sequence[str | None], Floats]:
        return read_labels(listed, len(inputs), clean_class_name), np.zeros((len(inputs), 0))

    def read_rights(self, values: Mapping[str, Any]) -> Rights:
        return {
            int(row): None if label is None else (clean_class_name(text_of(label, at), at), ())
            for row, label, at in ((row, label, f"/rows/{row}") for row, label in values.items())
        }
