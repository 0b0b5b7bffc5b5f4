"""What the body of a request may be: one entry a route, by the last part of its path."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from starlette.types import Scope

from service.api.limits.request_checks import WRITES, has_body, header
from service.contract.enums import CSV, FORM_DATA, JSON, NPY, RAW, ROWS, SAFETENSORS
from service.errors import TooLarge, UnsupportedMedia
from service.guessing.csv_files.letters import ENCODINGS
from service.remedies import WITHOUT_BACKBONE
from service.settings import Settings

LATER_TYPES = ("application/x-ndjson", "application/vnd.apache.parquet", "application/x-npz", "application/zip")
"""Media types that may be taken one day."""
_CHARSET = re.compile(r'(?:^|;) *charset *= *"?([^\s";]+)', re.IGNORECASE)
_LARGEST = " (TSUIKA_MAX_BODY_BYTES). "


class Body(NamedTuple):
    """What a route takes."""

    media: tuple[str, ...] = (JSON,)
    """Content types; "" where the header may be missing."""
    also: str = ""
    """What is said of those beside JSON."""
    rows: frozenset[str] = frozenset()
    """Content types whose bodies hold rows."""
    limit: Literal["rows", "model", "other"] = "other"
    """Which setting bounds it."""
    too_large: str = ", and it brings no rows. Send what is asked for alone."
    """What is said after "The body is over 1,000 bytes"."""
    weights: bool = False
    """Whether it brings a version or a ledger, which waits for its turn among large bodies."""


_PREDICTED = Body(
    (JSON, CSV, *ROWS),
    f" Taken here, too: {', '.join((*ROWS, CSV))}.",
    frozenset((JSON, CSV, RAW, NPY)),
    "rows",
    f"{_LARGEST}Send it in several batches.",
)
_STORED = Body(
    (JSON, CSV, SAFETENSORS),
    f" Taken here, too: {CSV}; {SAFETENSORS} of arrays.",
    frozenset((JSON, CSV, SAFETENSORS)),
    "rows",
    f"{_LARGEST}Send it in several batches.",
)
_VERSION = Body(
    (RAW, SAFETENSORS, FORM_DATA),
    limit="rows",
    too_large=f"{_LARGEST}{WITHOUT_BACKBONE()}, or ask who runs the service to raise the limit.",
    weights=True,
)
BODIES = {
    "predictions": _PREDICTED,
    # clients of the Open Inference Protocol leave the content type out
    "infer": _PREDICTED._replace(media=(JSON, RAW, ""), also="", rows=frozenset((JSON, RAW))),
    "batches": _STORED,
    "updates": _STORED,
    "invocations": Body(
        (JSON, CSV),
        f" Taken here, too: {CSV}.",
        too_large=". Send fewer rows at once, or to POST /v1/models/{model}/predictions, which takes more.",
    ),
    "versions": _VERSION,
    "merges": _VERSION._replace(
        media=(RAW, SAFETENSORS), too_large=f"{_LARGEST}Ask who runs the service to raise the limit."
    ),
    "models": Body(limit="model", too_large=". Round the numbers of its scale."),
}
OTHER = Body()


def body_of(scope: Scope) -> Body:
    """What the route of a request takes."""
    if scope["method"] != "POST":
        return OTHER
    return BODIES.get(scope["path"].rpartition("/")[2], OTHER)


def brings_rows(scope: Scope) -> bool:
    """Whether the body holds rows, as JSON, CSV, numbers or tensors. A picture is one row, and does not count."""
    return media_type(scope) in body_of(scope).rows


def media_type(scope: Scope) -> str:
    """The media type of the body, in lower case, without parameters; JSON where the header is missing."""
    content_type = header(scope, b"content-type")
    return JSON if content_type is None or content_type == JSON else content_type.partition(";")[0].strip().lower()


def charset(scope: Scope) -> str | None:
    """How the letters of the body are stored, in small letters; None where the header does not say."""
    match = _CHARSET.search((header(scope, b"content-type") or "").partition(";")[2])
    letters = None if match is None else match[1].lower()
    return "utf-8" if letters == "utf8" else letters


def check_content_type(scope: Scope) -> None:
    """Raises UnsupportedMedia where a request that writes has a body of a type that its route does not take."""
    if scope["method"] not in WRITES:
        return
    content_type, body = header(scope, b"content-type"), body_of(scope)
    if (header(scope, b"transfer-encoding") or "chunked").strip().lower() != "chunked":
        raise UnsupportedMedia("Of transfer codings only chunked is taken. Send the body as it is.")
    if content_type is None and not has_body(scope):
        return
    if content_type not in body.media:
        _check_media(scope, body, (content_type or "").partition(";")[0].strip().lower())
    if (header(scope, b"content-encoding") or "identity").lower() != "identity":
        raise UnsupportedMedia("A compressed body is not taken. Send it as it is.")


def _check_media(scope: Scope, body: Body, media: str) -> None:
    if media in LATER_TYPES:
        raise UnsupportedMedia(f"{media} is not taken yet. Send application/json.")
    letters = charset(scope)
    if media == CSV and CSV in body.media:
        if letters is not None and letters not in ENCODINGS:
            listed = ", ".join(ENCODINGS)
            raise UnsupportedMedia(f"A file of {CSV} is taken in UTF-8, which is best, or in one of {listed}.")
        return
    if media in body.media and (media != JSON or letters in (None, "utf-8")):
        return
    if body.weights:
        or_part = f", or in a part of {FORM_DATA}" if FORM_DATA in body.media else ""
        raise UnsupportedMedia(f"Send the safetensors file as {RAW}{or_part}.")
    came = f"The body came as {media[:100]}. " if media not in ("", JSON) else ""
    raise UnsupportedMedia(f"{came}Send JSON in UTF-8, with the header Content-Type: application/json.{body.also}")


def most_bytes(scope: Scope, settings: Settings) -> int:
    """The limit of the body of a request."""
    own = {"model": settings.max_model_body_bytes, "other": settings.max_other_body_bytes}
    return min(settings.max_body_bytes, own.get(body_of(scope).limit, settings.max_body_bytes))


def too_large(limit: int, scope: Scope) -> TooLarge:
    return TooLarge(f"The body is over {limit:,} bytes{body_of(scope).too_large}", limit=limit)
