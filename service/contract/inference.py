"""The messages of the Open Inference Protocol, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

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
