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


def exported_input(file: bytes) -> dict[str, Any] | None:
    """The input of that model, as `create_model` takes it; None where the file does not name one, or predicts no
    classes: such a version cannot be taken in."""
    try:
        layout = written(file)["layout"]
        return layout["input"] if layout.get("numbers") is None and isinstance(layout["input"], dict) else None
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return None
