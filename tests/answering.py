"""What a version answers to rows in this thread, and the values of open categories that rows have."""

from __future__ import annotations

import numpy as np

from service.contract.tables import TableInput
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Array
from service.serving.answers import Answer, check_knows
from service.serving.kinds.kind import USUAL, PredictOptions
from service.serving.loaded_versions import Loaded


def predict(loaded: Loaded, inputs: Array, options: PredictOptions = USUAL) -> Answer:
    """By the source's head if it has one. Raises InvalidContent, KnowsNothing."""
    check_knows(loaded)
    options = loaded.settled(options)
    return Answer(loaded, loaded.predictor.answer(inputs, options), options)


def values_of(spec: TableInput, inputs: Array) -> LearnedValues:
    """As if these rows were learned. [n, columns]"""
    columns = {place: inputs[:, place].astype(np.float64) for place in spec.growing}
    return LearnedValues({place: np.unique(column[~np.isnan(column)]) for place, column in columns.items()})
