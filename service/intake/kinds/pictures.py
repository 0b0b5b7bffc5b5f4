"""A PNG or JPEG file -> pixels of the shape that a model takes, or the sentence of a refusal.

The header of a file is checked before its pixels are decoded: a size that is not the model's costs nothing.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from service.intake.kinds.picture_pieces import BROKEN, MOST_TEXT_BYTES, fault_of_pieces, lacks_pixels, too_much_text

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Channels of a model -> how a picture is converted."""
SIGNATURES = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff"}
_DEPTH_AT = 24
"""Offset of the byte of a PNG that holds its bits a channel."""
_DEEP = ("I", "F")
"""First letters of Pillow's modes with more than 8 bits a channel."""

Pixels = NDArray[np.uint8]


class NoPicture(ValueError):
    """A picture that cannot be taken; the message goes on after "This PNG" or "This JPEG"."""


def kind_of(data: bytes) -> str | None:
    """The kind of a file by its first bytes; None: neither a PNG nor a JPEG."""
    return next((kind for kind, begins in SIGNATURES.items() if data.startswith(begins)), None)


def read_picture(data: bytes, kind: str, shape: tuple[int, ...], model: str) -> Pixels:
    """The pixels of a file of that kind ("PNG", "JPEG") -> uint8 [c, h, w], turned as its EXIF says.

    Transparency lies over white, unless the model takes 4 channels. Raises NoPicture.
    """
    channels, height, width = shape
    _check_signature(data, kind)
    if why := fault_of_pieces(data, kind):
        raise NoPicture(why)
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            if sorted(image.size) != sorted((width, height)):
                raise NoPicture(_other_size(image.size, width, height, model))
            if kind == "PNG" and getattr(image, "is_animated", False):
                raise NoPicture("is animated. Send one picture of it.")
            if image.mode[0] in _DEEP or (kind == "PNG" and data[_DEPTH_AT] > 8):
                raise NoPicture("has 16 bits a channel; 8 are taken. Convert it before you send it.")
            if kind == "PNG" and lacks_pixels(data, *image.size):
                raise NoPicture(BROKEN)
            turned = ImageOps.exif_transpose(image)
            if turned.size != (width, height):
                raise NoPicture(_other_size(turned.size, width, height, model))
            pixels = np.asarray(_converted(turned, MODES[channels]))
    except NoPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NoPicture(f"is huge; {model} takes {width} x {height} pixels. Resize it before you send it.") from None
    except (
        EOFError,
        OSError,
        OverflowError,
        SyntaxError,
        TypeError,
        ValueError,
        LookupError,
        struct.error,
        zlib.error,
    ) as error:
        if too_much_text(error):
            most = f"{MOST_TEXT_BYTES // 2**20} MB"
            raise NoPicture(f"has texts, or a colour profile, of more than {most}. Save it without them.") from None
        raise NoPicture(BROKEN) from None
    return pixels.reshape(height, width, channels).transpose(2, 0, 1).copy()  # the image's own cannot be written to


def _check_signature(data: bytes, kind: str) -> None:
    """Raises NoPicture where the first bytes are of another kind of file."""
    if data.startswith(SIGNATURES[kind]):
        return
    if other := kind_of(data):
        raise NoPicture(f'is a {other}: send it as {{"{other.lower()}": ...}}.')
    raise NoPicture(f"is none: its first bytes are not those of a {kind} file. PNG and JPEG are taken.")


def _other_size(size: tuple[int, int], width: int, height: int, model: str) -> str:
    return (
        f"is {size[0]:,} x {size[1]:,} pixels (width x height); {model} takes {width} x {height}. Resize it before "
        "you send it."
    )


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """The image in that mode; transparency lies over white."""
    if mode == "RGBA":
        return image.convert("RGBA")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, over).convert("RGB")
    return image.convert(mode)
