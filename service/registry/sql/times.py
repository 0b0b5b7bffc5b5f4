"""Seconds since the epoch as the API shows them."""

from datetime import UTC, datetime
from typing import overload


@overload
def moment(seconds: float) -> datetime: ...
@overload
def moment(seconds: None) -> None: ...
def moment(seconds: float | None) -> datetime | None:
    """A time in UTC, or None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
