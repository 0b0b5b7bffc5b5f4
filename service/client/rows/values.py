"""Turns arrays, tensors, frames, texts, images and missing labels into JSON, and many numbers into bytes.

Packages of others are never imported here: where the caller has a tensor or an image, its package is loaded.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.contract.enums import NPY, SAFETENSORS
from service.contract.tables import value_text
from service.guessing.picture_files import BEGINNINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = {"1": 1, "L": 1, "RGBA": 4, "LA": 4}
"""Modes of PIL that are not of three channels."""
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}
"""By the type of colour in the header of a PNG file."""
MANY_NUMBERS = 1024
"""Rows of so many numbers travel as bytes where the model takes vectors or images. A prediction of 1,024 takes the
client 0.9 ms of its core so and 1.5 ms as JSON, one of 16,384 numbers 2.5 and 11.7 ms; of 256 they are alike."""


ARRAYS = ("to_numpy", "tolist", "__array__")
"""What arrays, tensors, frames and their columns have one of."""
MOST_READ = 1_000_000
"""Rows that are read of what may have no end."""


class Bytes:
    """The bytes of a file that was made in memory, as the body of a request."""

    def __init__(self, data: bytes, media: str) -> None:
        self.data, self.headers = data, {"Content-Type": media}


def numpy_file(array: NDArray[Any]) -> Bytes:
    """An array of numbers: what numpy.save writes, of float32 or uint8. Raises ValueError."""
    import numpy as np

    held = io.BytesIO()
    np.save(held, _sendable(array), allow_pickle=False)
    return Bytes(held.getvalue(), NPY)


def rows_file(array: NDArray[Any], members: Mapping[str, Any]) -> Bytes:
    """The same, and JSON of all that is said beside it, as a safetensors file. Raises ValueError."""
    import numpy as np
    from safetensors.numpy import save

    body = json.dumps(members, allow_nan=False)
    return Bytes(save({"inputs": np.ascontiguousarray(_sendable(array))}, {"body": body}), SAFETENSORS)


def _sendable(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float32 or uint8. Raises ValueError for NaN and infinite numbers, and those beyond float32."""
    import numpy as np

    if array.dtype == np.uint8:
        return array
    with np.errstate(over="ignore"):
        numbers = array.astype("<f4")
    if not np.isfinite(numbers).all():
        at = tuple(np.argwhere(~np.isfinite(numbers))[0].tolist())
        raise not_finite(("inputs", *at), float(array[at]))
    return numbers


def not_finite(at: Sequence[int | str], number: float) -> ValueError:
    """The refusal of what is no finite number. at: what holds the rows, the place of its row, and its own in it, or the
    name of its column."""
    member, *steps = at
    words = ("row", *["number"] * len(steps))[: len(steps)]
    each = zip(words, steps, strict=True)
    said = [f"{word} {step}" if isinstance(step, int) else f'column "{step}"' for word, step in each]
    if places := [k for k, step in enumerate(steps) if isinstance(step, int)]:
        said[places[-1]] += " (counted from 0)"
    what = "NaN" if math.isnan(number) else f"{number:g}, which is not finite as float32"
    return ValueError(f"{', '.join([str(member), *said])} is {what}. Fill it in, or leave the row out.")


def find_not_finite(value: Any, at: tuple[int | str, ...] = ()) -> tuple[tuple[int | str, ...], float] | None:
    """The first number of nested lists and dicts that is NaN or infinite, and its place in them."""
    if isinstance(value, float):
        return None if math.isfinite(value) else (at, value)
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = (find_not_finite(part, (*at, step)) for step, part in parts)
    return next((each for each in found if each is not None), None)


def many_numbers(rows: Any) -> NDArray[Any] | None:
    """Rows as one array, where they are many numbers in an array, a tensor or a frame; None for anything else."""
    if _is_a(rows, "torch", "Tensor"):
        kept = rows.detach().cpu()
        rows = (kept if str(kept.dtype) in ("torch.uint8", "torch.float64") else kept.float()).numpy()
    elif hasattr(rows, "to_numpy"):
        rows = rows.to_numpy()
    if (
        not _is_a(rows, "numpy", "ndarray")
        or rows.ndim < 2
        or rows.size < MANY_NUMBERS
        or rows.dtype.kind not in "buif"
    ):
        return None
    array: NDArray[Any] = rows
    return array


def plain(value: Any) -> Any:
    """Arrays, tensors and frames as nested lists; images of PIL, the bytes of a PNG or JPEG file and its path as
    {"png": base64}; what is plain already, a text for one, stays as it is. Raises ValueError for other bytes."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if hasattr(value, "tolist") and not isinstance(value, memoryview):
        value = value.tolist()
    if isinstance(value, bytes | bytearray | memoryview):
        return _file(bytes(value))
    if isinstance(value, os.PathLike):
        return _file(Path(value).read_bytes())
    if is_picture(value):
        held = io.BytesIO()
        value.save(held, "PNG")
        return _file(held.getvalue())
    if isinstance(value, list | tuple):
        quick = set(map(type, value)) <= {int, float, str, bool, type(None)}  # long rows of numbers, and texts
        return value if quick else [plain(part) for part in value]
    return value


def in_a_list(rows: Any) -> Any:
    """Rows, or their labels, as a list where they are a generator, a cursor, a deque or such, which are read once; all
    else as it is. Raises ValueError for one row that names its cells, for a set, and for more rows than are read."""
    named = isinstance(rows, Mapping) or (hasattr(rows, "keys") and not hasattr(rows, "columns"))
    if named and not hasattr(rows, "to_numpy"):
        raise ValueError(f"This is one row ({type(rows).__name__}), not a list of rows. Send it in a list: [row].")
    if isinstance(rows, Set):
        raise ValueError(f"A {type(rows).__name__} has no order, so no row has a number. Send a list.")
    if not isinstance(rows, Iterable) or isinstance(rows, str | bytes | bytearray | memoryview | list | tuple):
        return rows
    if isinstance(rows, os.PathLike) or is_picture(rows) or any(hasattr(rows, name) for name in ARRAYS):
        return rows
    read = list(islice(rows, MOST_READ + 1))
    if len(read) > MOST_READ:
        raise ValueError(
            f"More than {MOST_READ:,} rows come from this {type(rows).__name__}. Send them in parts, each a list."
        )
    return read


def labels_in_a_list(labels: Any) -> Any:
    """Labels or targets as `in_a_list` has them. Raises ValueError for a text, which is none of a row."""
    if isinstance(labels, str):
        named = json.dumps(labels, ensure_ascii=False)
        raise ValueError(f"Labels are a list, one a row: [{named}]. If {named} names a column: target={named}.")
    return in_a_list(labels)


def several(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of which one may be given as a text."""
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


def columns_named(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of columns as a model has them, of which one may be given as a text."""
    return tuple(value_text(str(name)) for name in several(names))


def is_picture(value: Any) -> bool:
    """Whether it is an image of PIL."""
    return _is_a(value, "PIL.Image", "Image")


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


def is_missing(label: Any) -> bool:
    """Whether a value says that there is none: None, NaN, and what frames have for it."""
    return (
        label is None or (isinstance(label, float) and label != label) or type(label).__name__ in ("NAType", "NaTType")
    )


def picture_shape(image: Any) -> tuple[int, int, int] | None:
    """Channels, height and width of an image of PIL, of a PNG file or of its path; None of anything else. Raises
    ValueError for a JPEG, which does not say it at its beginning."""
    if is_picture(image):
        return CHANNELS.get(image.mode, 3), image.height, image.width
    if isinstance(image, Path):
        with image.open("rb") as file:
            image = file.read(32)
    if not isinstance(image, bytes | bytearray) or not image.startswith(tuple(BEGINNINGS)):
        return None
    if BEGINNINGS[next(begins for begins in BEGINNINGS if image.startswith(begins))] != "png":
        raise ValueError(
            'How large are these images? Say it first: client.create_model(name, {"kind": "image", "channels": 3, '
            '"height": 64, "width": 64}).'
        )
    width, height = (int.from_bytes(image[at : at + 4], "big") for at in (16, 20))
    return PNG_CHANNELS.get(image[25], 3), height, width


def _is_a(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a class of a package, which is loaded where the caller has such a value."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


def _plain_row(target: list[Any] | tuple[Any, ...]) -> list[Any] | None:
    row = [None if is_missing(number) else number for number in target]
    return row if any(number is not None for number in row) else None


def _file(data: bytes) -> dict[str, str]:
    for begins, name in BEGINNINGS.items():
        if data.startswith(begins):
            return {name: base64.b64encode(data).decode()}
    raise ValueError(
        "These bytes are neither a PNG nor a JPEG file. Send arrays [c][h][w], or the bytes of such a file."
    )
