"""The messages of MLflow's scoring server, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.contract.requests import MOST_ROWS

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
