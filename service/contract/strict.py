"""What shapes of requests are made of: bodies that refuse unknown fields, lists that stop at their first fault."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

Listed = Annotated[list[T], Field(fail_fast=True)]
"""A list of which the first fault alone is reported: each takes five hundred times the text of the item."""


class Strict(BaseModel):
    """A body that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
