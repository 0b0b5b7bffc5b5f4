"""An exported ledger as the body of a request: each claim of it is checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.contract.enums import ENTRY
from service.contract.inputs import WIDEST_EXACT
from service.contract.names import MOST_CLASSES, clean_class_names
from service.contract.targets import Target
from service.contract.targets.number_target import MOST_NUMBERS_A_ROW
from service.errors import BrokenJSON, InvalidContent
from service.intake.formats import safetensors_file
from service.intake.formats.safetensors_file import read_weights
from service.intake.json_body import pointer_to, read_value
from service.learning.data.rows import NAMELESS
from service.learning.ledger.exchange import FORMAT, TENSORS, fault
from service.learning.ledger.sums import Sums

AT = "/ledger"
"""The pointer of faults of the file."""
MOST_ENTRIES = 100_000
"""Batches elsewhere that one ledger is of."""
_ID, _HASH = re.compile(r"[a-z]{3}_[0-9a-f]{1,40}"), re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class SentLedger:
    """Sums as they were sent: of which feature space, with which digest, and the rows of each batch behind them."""

    sums: Sums
    space: str
    digest: str
    entries: Mapping[str, int]

    @property
    def label_counts(self) -> dict[str, int]:
        """Rows of each class; empty where numbers are predicted."""
        if self.sums.classes == NAMELESS:
            return {}
        return {name: int(rows) for name, rows in zip(self.sums.classes, self.sums.n, strict=True)}

    def check(self, width: int, numbers: int) -> None:
        """Raises InvalidContent where they are no sums of rows of so many features, or others than the file says.
        width: M of the feature space · numbers: see `fault`"""
        if self.sums.width != width:
            raise _wrong("G", f"it has {len(self.sums.G):,} columns, and {width + 1:,} are due in this feature space")
        if (broken := fault(self.sums, numbers)) is not None:
            raise _wrong(*broken)
        if (rows := sum(self.entries.values())) != self.sums.rows:
            raise _wrong("n", f"it counts {self.sums.rows:,} rows, and the entries {rows:,}")
        if self.sums.digest(self.space) != self.digest:
            raise InvalidContent.at(
                f"{AT}/digest",
                "These sums have another digest than the file says: it was changed, or it was damaged on its way. "
                "Export it anew.",
            )


def read_ledger(data: bytes, target: Target) -> SentLedger:
    """The ledger in a body; `check` follows once it is known that its feature space is the model's. Raises
    InvalidContent with a pointer."""
    try:
        file = read_weights(data, doubles=TENSORS)
    except InvalidContent as error:
        errors = [(at.replace(safetensors_file.AT, AT, 1), sentence) for at, sentence in error.errors]
        raise InvalidContent(error.detail, errors) from None
    meta = _meta(file.metadata.get(ENTRY))
    shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
    if set(shapes) != set(TENSORS) or any(tensor.dtype != np.float64 for tensor in file.tensors.values()):
        raise InvalidContent.at(AT, f"A ledger has the tensors {', '.join(TENSORS)}, each of type F64, and no others.")
    classes = _classes(meta.get("classes"), target)
    G, Q, n = (file.tensors[name] for name in TENSORS)
    if G.ndim != 2 or not 2 <= len(G) <= WIDEST_EXACT + 2 * MOST_NUMBERS_A_ROW + 1 or G.shape[0] != G.shape[1]:
        raise _wrong("G", f"it is no square of 2 to {WIDEST_EXACT + 1:,} columns")
    for name, shape in (("Q", (len(G), len(classes))), ("n", (len(classes),))):
        if shapes[name] != shape:
            raise _wrong(name, f"its shape is {list(shapes[name])}, and {list(shape)} is due")
    space, digest = (_hash(meta, name) for name in ("feature_space", "digest"))
    return SentLedger(Sums(tuple(classes), G, Q, n), space, digest, _entries(meta.get("entries")))


def _meta(text: str | None) -> dict[str, Any]:
    """What the file says of itself. Raises InvalidContent."""
    try:
        meta = read_value((text or "null").encode("utf-8", "replace"), AT, MOST_ENTRIES + 1000)
    except BrokenJSON as error:
        raise InvalidContent.at(AT, error.detail.replace("The body", f'"{ENTRY}" in the metadata', 1)) from None
    if not isinstance(meta, dict) or type(meta.get("format")) is not int:
        raise InvalidContent.at(
            AT, "This is no exported ledger. Send what GET /v1/models/{model}/versions/{version}/ledger gave elsewhere."
        )
    if meta["format"] != FORMAT:
        raise InvalidContent.at(
            f"{AT}/format", f"The ledger is of format {meta['format']}, and {FORMAT} is read here. Export it anew."
        )
    return meta


def _classes(names: Any, target: Target) -> list[str]:
    """The columns of Q: names as they enter the vocabulary; the one nameless class where numbers are predicted."""
    at = f"{AT}/classes"
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidContent.at(at, "classes is missing: the name of each column of Q, in order.")
    nameless = names == list(NAMELESS)
    if nameless == target.has_classes:
        there = "numbers" if nameless else "classes"
        raise InvalidContent.at(
            at, f"The ledger is of a model that predicts {there}, and this one predicts {target.predicts}."
        )
    if nameless:
        return names
    if len(names) > MOST_CLASSES:
        raise InvalidContent.at(at, f"A model has at most {MOST_CLASSES:,} classes, and here are {len(names):,}.")
    if (cleaned := clean_class_names(names, at)) != names:
        k = next(k for k, name in enumerate(names) if name != cleaned[k])
        raise InvalidContent.at(f"{at}/{k}", "A class name in a ledger is in NFC, without blanks at its ends.")
    return names


def _entries(entries: Any) -> dict[str, int]:
    """Rows of each batch behind the sums, by its id. Raises InvalidContent."""
    at = f"{AT}/entries"
    if not isinstance(entries, dict) or not 1 <= len(entries) <= MOST_ENTRIES:
        raise InvalidContent.at(at, f"entries names the 1 to {MOST_ENTRIES:,} batches behind the sums: id -> rows.")
    for name, rows in entries.items():
        if not _ID.fullmatch(name) or type(rows) is not int or not 1 <= rows <= 2**53:
            raise InvalidContent.at(at + pointer_to([name]), "An entry is the id of a batch and its rows, 1 or more.")
    return entries


def _hash(meta: Mapping[str, Any], name: str) -> str:
    value = meta.get(name)
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise InvalidContent.at(f"{AT}/{name}", f"{name} is 64 hexadecimal digits.")
    return value


def _wrong(tensor: str, why: str) -> InvalidContent:
    return InvalidContent.at(f"{AT}/{tensor}", f"The ledger cannot be merged: tensor {tensor}: {why}.")
