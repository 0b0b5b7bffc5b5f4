"""What an exported file says of the model that it came from."""

from __future__ import annotations

import json
from typing import Any

from service.contract.enums import ENTRY

LENGTH = 8
"""Bytes that say how long the header of a safetensors file is, little-endian."""


def written(file: bytes) -> Any:
    """What was written here into the metadata of a safetensors file. Raises ValueError, KeyError, TypeError or another
    error of what is none."""
    header = json.loads(file[LENGTH : LENGTH + int.from_bytes(file[:LENGTH], "little")])
    return json.loads(header["__metadata__"][ENTRY])


def exported_model(file: bytes) -> dict[str, Any] | None:
    """What that model takes, and which columns of CSV files it leaves out, as `create_model` takes it; None where the
    file does not name an input, or predicts no classes: such a version cannot be taken in."""
    try:
        entry = written(file)
        if entry["layout"].get("numbers") is not None or not isinstance(entry["layout"]["input"], dict):
            return None
        left_out = {"leave_out": entry["leave_out"]} if entry.get("leave_out") else {}
        return {"input": entry["layout"]["input"], **left_out}
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return None
