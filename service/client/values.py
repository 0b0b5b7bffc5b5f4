"""Turns arrays, frames, texts, image files and missing labels into JSON."""

from __future__ import annotations

import base64
from typing import Any

FILES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
"""First bytes of the image files that the service takes -> their name in a request."""


def plain(value: Any) -> Any:
    """Arrays, tensors and frames as nested lists, the bytes of a PNG or JPEG file as {"png": base64}; what is plain
    already, a text for one, stays as it is. Raises ValueError for other bytes."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if hasattr(value, "tolist") and not isinstance(value, memoryview):
        value = value.tolist()
    if isinstance(value, bytes | bytearray | memoryview):
        return _file(bytes(value))
    if isinstance(value, list | tuple):
        return value if _all_plain(value) else [plain(part) for part in value]
    return value


def plain_labels(value: Any) -> Any:
    """Labels as a list; None, and what stands for a missing value in a frame, as None."""
    labels = plain(value)
    if not isinstance(labels, list | tuple):
        return labels
    return [None if is_missing(label) else label for label in labels]


def plain_targets(value: Any) -> Any:
    """Targets as a list of numbers, or of lists; None, and rows of which nothing is known, as None."""
    targets = plain_labels(value)
    if not isinstance(targets, list):
        return targets
    return [_plain_row(target) if isinstance(target, list | tuple) else target for target in targets]


def are_numbers(labels: Any) -> bool:
    """Whether plain labels may be targets: numbers, lists of them, or None."""
    return isinstance(labels, list) and set(map(type, labels)) <= {int, float, list, tuple, type(None)}


def _plain_row(target: list[Any] | tuple[Any, ...]) -> list[Any] | None:
    row = [None if is_missing(number) else number for number in target]
    return row if any(number is not None for number in row) else None


def _all_plain(values: list[Any] | tuple[Any, ...]) -> bool:
    """Quick for long rows of numbers and for texts."""
    return set(map(type, values)) <= {int, float, str, bool, type(None)}


def is_missing(label: Any) -> bool:
    """Whether a value says that there is none: None, NaN, and what frames have for it."""
    return (
        label is None or (isinstance(label, float) and label != label) or type(label).__name__ in ("NAType", "NaTType")
    )


def _file(data: bytes) -> dict[str, str]:
    for begins, name in FILES.items():
        if data.startswith(begins):
            return {name: base64.b64encode(data).decode()}
    raise ValueError(
        "These bytes are neither a PNG nor a JPEG file. Send arrays [c][h][w], or the bytes of such a file."
    )
