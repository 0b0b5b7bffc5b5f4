"""Images: nested lists, PNG and JPEG give the same pixels; what is broken, huge or of another size is named."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.contract.inputs import ImageInput, RangeScale
from service.errors import BrokenJSON, InvalidContent
from service.intake.json_body import read_object
from service.intake.kinds.pictures import SIGNATURES, NoPicture, read_picture
from service.intake.kinds.rows import read_row, read_rows
from service.learning.data.row_hash import content_digest, row_hashes
from tests.intake.faults import refused

GREY = ImageInput(kind="image", channels=1, height=2, width=3)
COLOUR = ImageInput(kind="image", channels=3, height=2, width=3)
CLEAR = ImageInput(kind="image", channels=4, height=2, width=3)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 4), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def row(data: bytes, key: str = "png") -> dict[str, str]:
    return {key: base64.b64encode(data).decode()}


def images_of(inputs: Any, spec: ImageInput = GREY) -> np.ndarray:
    return read_rows(read_object(json.dumps({"inputs": inputs}).encode()).rows, spec, "faces")


def grey(size: tuple[int, int] = (3, 2)) -> Image.Image:
    return Image.fromarray(np.arange(size[0] * size[1], dtype=np.uint8).reshape(size[1], size[0]))


def test_a_png_and_nested_lists_are_the_same_row() -> None:
    colour = Image.fromarray(PIXELS[:, :, :3])
    lists = PIXELS[:, :, :3].transpose(2, 0, 1).tolist()
    read = images_of([row(encoded(colour)), lists, row(encoded(colour))], COLOUR)
    assert read.dtype == np.uint8
    assert read.tolist() == [lists, lists, lists]
    hashes = row_hashes(read, b"s")
    assert len(set(hashes.tolist())) == 1
    assert content_digest(read[:1], ["a"]) == content_digest(images_of([lists], COLOUR), ["a"])
    with_fractions = images_of([row(encoded(colour)), (np.array(lists) / 2).tolist()], COLOUR)
    assert with_fractions.dtype == np.float32
    assert row_hashes(with_fractions, b"s")[0] == hashes[0]


def test_pictures_are_converted_to_the_channels_of_the_model() -> None:
    clear = Image.fromarray(PIXELS)
    assert np.array_equal(images_of([row(encoded(clear))], CLEAR)[0], PIXELS.transpose(2, 0, 1))
    alpha = PIXELS[:, :, 3:] / 255
    over_white = PIXELS[:, :, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(images_of([row(encoded(clear))], COLOUR)[0] - over_white.transpose(2, 0, 1)).max() <= 1
    nothing = Image.new("RGBA", (3, 2), (9, 9, 9, 0))
    assert (images_of([row(encoded(nothing))], GREY) == 255).all()
    palette = Image.fromarray(PIXELS[:, :, :3]).convert("P")
    assert np.array_equal(
        images_of([row(encoded(palette))], COLOUR)[0], np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    )
    assert images_of([row(encoded(grey()))], COLOUR)[0, 2].tolist() == [[0, 1, 2], [3, 4, 5]]
    one_bit = Image.new("1", (3, 2), 1)
    assert (images_of([row(encoded(one_bit))], GREY) == 255).all()


def test_a_jpeg_is_read_and_turned_as_it_says() -> None:
    data = encoded(grey(), "JPEG", quality=95)
    assert np.array_equal(images_of([row(data, "jpeg")])[0, 0], np.asarray(Image.open(io.BytesIO(data))))
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = encoded(grey((2, 3)), "JPEG", quality=95, exif=exif)
    stored = np.asarray(Image.open(io.BytesIO(sideways)))
    assert np.array_equal(images_of([row(sideways, "jpeg")])[0, 0], np.rot90(stored, -1))
    with pytest.raises(InvalidContent, match="2 x 3 pixels"):
        images_of([row(encoded(grey(), "JPEG", exif=exif), "jpeg")])


def header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )


ANIMATED = encoded(grey(), save_all=True, append_images=[grey().transpose(Image.Transpose.ROTATE_180)])
DEEP = encoded(Image.fromarray(np.full((2, 3), 40_000, np.uint16)))


def test_faults_are_named() -> None:
    for inputs, spec, pointer, sentence in [
        ([row(encoded(grey((5, 4))))], GREY, "/inputs/0/png", "is 5 x 4 pixels (width x height); faces takes 3 x 2"),
        ([row(header(60_000, 60_000))], GREY, "/inputs/0/png", "is huge; faces takes 3 x 2"),
        ([row(header(9_000, 9_000))], GREY, "/inputs/0/png", "9,000 x 9,000"),
        ([row(encoded(grey())[:-30])], GREY, "/inputs/0/png", "broken or cut short"),
        ([row(encoded(grey(), "JPEG")[:-40], "jpeg")], GREY, "/inputs/0/jpeg", "broken or cut short"),
        ([row(encoded(grey(), "JPEG"))], GREY, "/inputs/0/png", 'is a JPEG: send it as {"jpeg": ...}'),
        ([row(encoded(grey()), "jpeg")], GREY, "/inputs/0/jpeg", "is a PNG"),
        ([row(encoded(grey(), "GIF"))], GREY, "/inputs/0/png", "PNG and JPEG are taken"),
        ([row(ANIMATED)], GREY, "/inputs/0/png", "animated"),
        ([row(DEEP)], GREY, "/inputs/0/png", "16 bits"),
        ([row(b"")], GREY, "/inputs/0/png", "is none"),
        ([{"png": 5}], GREY, "/inputs/0/png", "a number where the file in base64 is due"),
        ([{"png": "a b"}], GREY, "/inputs/0/png", "without spaces"),
        ([{"png": "data:image/png;base64,aGk="}], GREY, "/inputs/0/png", "before the comma"),
        ([{"png": "é"}], GREY, "/inputs/0/png", "not base64"),
        ([{"gif": "aGk="}], GREY, "/inputs/0", "is no image"),
        ([{}], GREY, "/inputs/0", "is no image"),
        ([{"png": "", "jpeg": ""}], GREY, "/inputs/0", "is no image"),
        (row(encoded(grey())), GREY, "/inputs", "one bare image"),
        ([row(encoded(grey())), [[[1, 2, 3]]]], GREY, "/inputs/1/0", "Row 1 (counted from 0) has 1 lines"),
        (
            [row(encoded(grey())), [[[1, 2, 3], [1, 2, "3"]]]],
            GREY,
            "/inputs/1/0/1/2",
            "Row 1 (counted from 0) has text",
        ),
        ([row(encoded(grey())), 5], GREY, "/inputs/1", "a number where a list"),
        ([row(encoded(grey())), [[[1, 2, 3], [1, 2, 1e39]]]], GREY, "/inputs/1/0/1/2", "float32"),
        (
            [row(encoded(grey()))],
            ImageInput(kind="image", channels=2, height=2, width=3),
            "/inputs/0/png",
            "takes 2 channels, and a PNG has 1, 3 or 4",
        ),
        (
            [row(encoded(grey()))],
            ImageInput(kind="image", channels=1, height=2, width=3, scale=RangeScale(range=(0, 1))),
            "/inputs/0/png",
            "numbers from 0 to 1",
        ),
    ]:
        with refused(pointer, sentence):
            images_of(inputs, spec)


def test_many_small_files_are_no_large_memory() -> None:
    spec = ImageInput(kind="image", channels=4, height=1024, width=1024)
    with pytest.raises(InvalidContent, match="at most 64"):
        images_of([row(header(1024, 1024))] * 65, spec)


def test_a_picture_in_a_query() -> None:
    text = json.dumps(row(encoded(grey())))
    assert read_row(text, GREY, "faces").rows.tolist() == [[[[0, 1, 2], [3, 4, 5]]]]
    with pytest.raises(InvalidContent) as caught:
        read_row(json.dumps(row(b"no")), GREY, "faces")
    assert caught.value.errors[0][0] == "/input/png"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_text(repeated: int) -> bytes:
    """Chunks of a PNG that unpack to a megabyte each."""
    return chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 1_000_000, 9)) * repeated


LONG_TEXT = chunk(b"tEXt", b"k\0" + b"x" * 5_000_000)
PROGRESSIVE = encoded(Image.fromarray(PIXELS[:, :, :3]), "JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rfind(b"\xff\xda") : -2]
PLAIN = encoded(Image.fromarray(PIXELS[:, :, :3]))


def test_files_of_many_pieces_are_refused_before_they_are_decoded() -> None:
    for kind, data, sentence in [
        ("JPEG", PROGRESSIVE[:-2] + LAST_SCAN * 200 + b"\xff\xd9", "more than 100 scans"),
        ("JPEG", PROGRESSIVE[:2] + b"\xff\xfe\0\2" * 20_000 + PROGRESSIVE[2:], "more than 10,000 pieces"),
        ("JPEG", PROGRESSIVE[:2] + b"\xff" * 200_000 + PROGRESSIVE[2:], "more than 10,000 pieces"),
        ("PNG", PLAIN[:33] + chunk(b"IDAT", b"") * 20_000 + PLAIN[33:], "more than 10,000 pieces"),
        ("PNG", PLAIN[:33] + packed_text(10) + PLAIN[33:], "texts, or a colour profile, of more than 4 MB. Save it"),
        ("PNG", PLAIN[:33] + LONG_TEXT + PLAIN[33:], "texts, or a colour profile, of more than 4 MB. Save it"),
        ("PNG", PLAIN[:-12] + LONG_TEXT + PLAIN[-12:], "texts, or a colour profile, of more than 4 MB. Save it"),
        ("PNG", PLAIN[:-30], r"broken or cut short\.$"),
        ("PNG", PLAIN[:20], r"broken or cut short\.$"),
    ]:
        tracemalloc.start()
        try:
            with pytest.raises(NoPicture, match=sentence):
                read_picture(data, kind, (3, 2, 3), "faces")
            assert tracemalloc.get_traced_memory()[1] < max(50 * len(data), 10 * 2**20)
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("JPEG", PROGRESSIVE),
        # what looks like scans and segments within a comment is none
        ("JPEG", PROGRESSIVE[:2] + b"\xff\xfe\x9c\x42" + b"\xff\xda" * 20_000 + PROGRESSIVE[2:]),
        ("PNG", PLAIN[:33] + packed_text(2) + PLAIN[33:]),
    ],
)
def test_files_of_some_pieces_are_read(kind: str, data: bytes) -> None:
    whole = PROGRESSIVE if kind == "JPEG" else PLAIN
    assert np.array_equal(read_picture(data, kind, (3, 2, 3), "faces"), read_picture(whole, kind, (3, 2, 3), "faces"))


GOOD = [("PNG", encoded(Image.fromarray(PIXELS))), ("JPEG", encoded(grey(), "JPEG")), ("PNG", ANIMATED)]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=300)
@given(st.sampled_from(GOOD), st.data())
def test_damaged_files_are_read_or_refused(good: tuple[str, bytes], draw: st.DataObject) -> None:
    kind, data = good
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    start, end = draw.draw(st.integers(0, 2)), draw.draw(st.integers(0, len(damaged)))
    for attempt in (bytes(damaged), bytes(damaged[:end]), bytes(damaged[start:]), data[:8] + draw.draw(st.binary())):
        with contextlib.suppress(NoPicture):
            assert read_picture(attempt, kind, (1, 2, 3), "faces").shape == (1, 2, 3)


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["png", "jpeg", "x"]), st.text(max_size=8) | st.none() | st.integers()))
def test_whatever_object_comes_is_refused(image: dict[str, Any]) -> None:
    with pytest.raises((InvalidContent, BrokenJSON)):
        images_of([image, [[[1, 2, 3], [4, 5, 6]]]])


def test_a_png_that_lacks_pixels_its_end_or_its_palette_is_refused() -> None:
    width, height = 13, 11
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    for mode in ["L", "RGB", "P", "1", "LA", "RGBA"]:
        for interlaced in [False, True]:
            whole = png_of(Image.fromarray(pixels).convert(mode), interlaced)
            read_picture(whole, "PNG", (3, height, width), "m")
            chunks = png_chunks(whole)
            short = [
                (kind, zlib.compress(zlib.decompress(data)[:-1]) if kind == b"IDAT" else data) for kind, data in chunks
            ]
            broken = [png_from(short), whole[:-14], png_from([c for c in chunks if c[0] != b"IEND"])]
            if mode == "P":
                broken.append(png_from([c for c in chunks if c[0] != b"PLTE"]))
            for data in broken:
                with pytest.raises(NoPicture, match="broken or cut short"):
                    read_picture(data, "PNG", (3, height, width), "m")


def png_of(image: Image.Image, interlaced: bool) -> bytes:
    """A PNG with one IDAT; Pillow writes no interlaced ones, so the passes are laid out by hand."""
    file = io.BytesIO()
    image.save(file, "PNG")
    chunks = png_chunks(file.getvalue())
    data = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    if interlaced:
        head = dict(chunks)[b"IHDR"]
        bits = head[8] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[head[9]]
        sizes = [(2, 2), (2, 2), (4, 1), (3, 3), (7, 3), (6, 6), (13, 5)]  # of 13 x 11 pixels, pass by pass
        data = b"".join(bytes(lines * (1 + -(-columns * bits // 8))) for columns, lines in sizes)
        chunks = [(k, d[:12] + b"\x01" if k == b"IHDR" else d) for k, d in chunks]
    others = [(k, d) for k, d in chunks if k not in (b"IDAT", b"IEND")]
    return png_from([*others, (b"IDAT", zlib.compress(data)), (b"IEND", b"")])


def png_chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    at, chunks = 8, []
    while at < len(file):
        length = int.from_bytes(file[at : at + 4], "big")
        chunks.append((file[at + 4 : at + 8], file[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def png_from(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return SIGNATURES["PNG"] + b"".join(parts)
