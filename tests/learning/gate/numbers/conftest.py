"""The stream that measurements are tested with."""

from __future__ import annotations

from tests.learning.evaluation.numbers.conftest import batch, stream

__all__ = ["batch", "stream"]
