"""Answers that agree but for rounding: rows of one question may be computed in several passes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel


def alike(a: Any, b: Any) -> bool:
    """Whether two answers, as JSON or as the client has them, are the same, numbers to a millionth, as scores are
    computed in float32."""
    if isinstance(a, BaseModel) and isinstance(b, BaseModel):
        return alike(a.model_dump(), b.model_dump())
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return bool(a == pytest.approx(b, rel=1e-6, abs=1e-6, nan_ok=True))
    return bool(a == b)
