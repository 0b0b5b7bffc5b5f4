"""What is answered to predictions; and, for the OpenAPI document, the messages of other servers' protocols: the Open
Inference Protocol, and that of MLflow's scoring server."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from service.contract.body_limits import MOST_ROWS
from service.contract.resources import Resource


class ClassShare(Resource):
    class_: str = Field(alias="class")
    score: float


class Prediction(ClassShare):
    top: list[ClassShare]


Notes = Annotated[
    list[str],
    Field(
        description="What is odd about the rows, such as values of categories that the version has not learned, which "
        "count as missing; left out where nothing is."
    ),
]


class Predictions(Resource):
    brief: ClassVar = ("model", "version", "classes", "notes")
    kind: ClassVar = "class"

    model: str
    version: int
    predictions: list[Prediction]
    notes: Notes = Field(default=[])

    @property
    def classes(self) -> list[str]:
        """By row: its best class."""
        return [row.class_ for row in self.predictions]


class ValuePrediction(Resource):
    value: float
    interval: tuple[float, float] | None = Field(
        default=None,
        description="Lower and upper end; null where the version has learned too few rows for one, or hardly any that "
        "lack what this row lacks.",
    )


class ValuesPrediction(Resource):
    values: list[float] = Field(description="In the order of the names of the target.")
    intervals: list[tuple[float, float]] | None = Field(default=None, description="One for each value, likewise.")


class NumberPredictions(Resource):
    """Of a model of numbers: one number a row, or several."""

    brief: ClassVar = ("model", "version", "values", "intervals", "level", "notes")
    kind: ClassVar = "number"

    model: str
    version: int
    level: float = Field(description="Share of rows to come whose value an interval is meant to hold.")
    predictions: list[ValuePrediction] | list[ValuesPrediction]
    notes: Notes = Field(default=[])

    @property
    def values(self) -> list[float] | list[list[float]]:
        """By row: its number, or the list of its numbers."""
        rows: Any = self.predictions
        return [row.value if isinstance(row, ValuePrediction) else row.values for row in rows]

    @property
    def intervals(self) -> list[tuple[float, float]] | list[list[tuple[float, float]]] | None:
        """By row: the (lower, upper) end of its number, or the list of those of its numbers; NaN where a row has none.
        None where the version has no intervals yet."""
        rows: Any = self.predictions
        intervals: list[Any] = [row.interval if isinstance(row, ValuePrediction) else row.intervals for row in rows]
        none: Any = (math.nan, math.nan)
        if rows and not isinstance(rows[0], ValuePrediction):
            none = [none] * len(rows[0].values)
        return [none if ends is None else ends for ends in intervals] if any(intervals) else None


AnyPredictions = Predictions | NumberPredictions

Parameters = Annotated[dict[str, Any], Field(max_length=100)]
Word = Annotated[str, Field(max_length=1000)]
Shape = Annotated[list[int], Field(max_length=8)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class InferenceError(_Message):
    """A refusal."""

    error: str = Field(description="What is wrong, and what to do.")


class ServerMetadata(_Message):
    """Which server this is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_Message):
    """What a tensor looks like; -1: any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(_Message):
    """What a model takes and gives. `versions`: those that can be asked by number."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(_Message):
    """Whether a model can answer."""

    name: str
    ready: bool


class InputTensor(_Message):
    """Rows; of a table the cells of one column, [n], by its name. `data`: flat, or nested as the shape is; without it
    `binary_data_size` bytes follow the JSON."""

    name: Word = Field(examples=["input"])
    shape: Shape
    datatype: Word
    parameters: Parameters = {}
    data: Annotated[list[Any], Field(max_length=64 * 2**20)] | None = None


class RequestedOutput(_Message):
    """An output that is asked for; `binary_data` in its parameters: as bytes behind the JSON."""

    name: Word = Field(examples=["class", "scores", "value", "interval"])
    parameters: Parameters = {}


class InferenceRequest(_Message):
    """Rows to predict. Parameters: `source`, `level` of the intervals of numbers, `binary_data_output`, `timeout` in
    microseconds."""

    model_config = ConfigDict(
        frozen=True,
        protected_namespaces=(),
        json_schema_extra={
            "examples": [{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [0, 3, 7, 1]}]}]
        },
    )

    inputs: Annotated[list[InputTensor], Field(max_length=1000)]
    id: Word | None = None
    parameters: Parameters = {}
    outputs: Annotated[list[RequestedOutput], Field(max_length=100)] | None = None


class OutputTensor(_Message):
    """`class` or `scores`; the parameter `classes` names the columns of `scores`. Of a model of numbers `value` or
    `interval`; the parameter `names` names their columns, `level` is that of the intervals."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = {}
    data: list[Any] | None = None


class InferenceResponse(_Message):
    """An answer. The parameter `notes` says what is odd about the rows, where anything is."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[OutputTensor]


Rows = Annotated[list[Any], Field(max_length=MOST_ROWS)]
Columns = Annotated[dict[str, Any], Field(max_length=1000)]


class SplitFrame(BaseModel):
    """A frame, as pandas.DataFrame.to_dict(orient="split") writes it."""

    columns: Annotated[list[Any], Field(max_length=1000)] | None = None
    data: Rows
    index: Rows | None = None


class Invocation(BaseModel):
    """Rows to predict, in one of four forms. `params`: `source`, where the rows come from."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"dataframe_split": {"columns": ["city", "rooms"], "data": [["Kyoto", 3]]}},
                {"inputs": [[0, 3, 7, 1]]},
            ]
        }
    )

    dataframe_split: SplitFrame | None = None
    dataframe_records: Rows | None = None
    instances: Rows | Columns | None = None
    inputs: Rows | Columns | None = None
    params: Annotated[dict[str, Any], Field(max_length=10)] | None = None


class InvocationAnswer(BaseModel):
    """A class, a number or a list of numbers a row."""

    predictions: list[Any]


class InvocationError(BaseModel):
    """A refusal, with MLflow's name for its kind."""

    error_code: str
    message: str = Field(description="What is wrong, and what to do.")
