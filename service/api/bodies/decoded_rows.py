"""The rows that a body has brought, decoded, with their labels or targets: in memory, or on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from service.api.reader.annotations import Annotations
from service.api.reader.process import Reader
from service.api.reader.spool import Spooled
from service.api.reader.store_rows import Making, identity_of, make, settled
from service.api.reader.tasks import load_places
from service.errors import InvalidContent
from service.intake.formats.csv_table import CsvTable, Places
from service.intake.json_body import ROWS, TARGETS
from service.intake.kinds.brought_values import BroughtValues
from service.intake.kinds.labels import Labels
from service.learning.data.sides import FOLDING, Folding
from service.registry.rows.arrival import Arrival
from service.storage.artifacts import Artifacts


@dataclass(frozen=True, eq=False)
class RowsInMemory:
    """Rows in memory, with what is known of each."""

    inputs: NDArray[Any]
    annotations: Annotations
    file: CsvTable | None = None

    @cached_property
    def labels(self) -> Labels:
        """A summary of their labels; where targets are numbers, of none."""
        return self.annotations.summary()

    @property
    def values(self) -> BroughtValues:
        """The values of open categories; none where inputs are no tables."""
        return self.annotations.values

    def identities(self) -> dict[str, str]:
        """Names rows and targets by what they hold, however they were written, by the member that holds them; those of
        a CSV file together."""
        if self.file is not None:
            return {ROWS: self.digest()}
        targets = self.annotations.targets
        return {ROWS: identity_of(self.inputs), **({TARGETS: identity_of(targets)} if targets.shape[1] else {})}

    def places(self) -> Places | None:
        """Where they stand in a CSV file; None where they came as JSON."""
        return None if self.file is None else self.file.places

    @property
    def notes(self) -> Sequence[str]:
        """How a CSV file was read, where that is not as usual."""
        return () if self.file is None else self.file.notes

    def digest(self) -> str:
        """The digest of the content of a batch of them."""
        return self.annotations.digest(self.inputs)

    def settled(self, folding: Folding, secret: bytes) -> Folding:
        """How the rows of the model are folded from now on."""
        return settled(self.inputs, self.annotations, folding, secret)

    def make(self, making: Making, store: Artifacts) -> Arrival:
        """Folds and stores them. Raises DiskFull."""
        return make(self.inputs, self.annotations, making, store)


@dataclass(frozen=True, eq=False)
class RowsOnDisk:
    """As `RowsInMemory`, in the folder of a large body: this process never holds them."""

    reader: Reader
    body: Spooled
    labels: Labels
    values: BroughtValues
    notes: Sequence[str] = ()

    def places(self) -> Places | None:
        return load_places(self.body.folder)

    def digest(self) -> str:
        digest: str = self.reader.run(self.body, "digest")["digest"]
        return digest

    def settled(self, folding: Folding, secret: bytes) -> Folding:
        task = {"folding": folding.model_dump(mode="json"), "secret": secret.hex()}
        return FOLDING.as_stored(self.reader.run(self.body, "settle", **task))

    def make(self, making: Making, store: Artifacts) -> Arrival:
        return Arrival(**self.reader.run(self.body, "store", making=making.model_dump(mode="json")))


BodyRows = RowsInMemory | RowsOnDisk
"""Decoded rows with their labels or targets, wherever they are."""


@contextmanager
def located(rows: BodyRows | None) -> Iterator[None]:
    """Adds line and column to the refusal of a row that came in a CSV file. Raises InvalidContent."""
    try:
        yield
    except InvalidContent as fault:
        places = None if rows is None else rows.places()
        if places is None:
            raise
        raise places.located(fault) from None
