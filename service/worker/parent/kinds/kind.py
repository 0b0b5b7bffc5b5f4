"""What the parent asks of a kind of target as it plans and publishes, instead of which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from service.registry.sql.tables import Model, Update, Version
from service.worker.assignment import Lineage

R = TypeVar("R")


class Kind(ABC, Generic[R]):
    @abstractmethod
    def lineage(self, session: Session, model: Model, update: Update, base: Version) -> Lineage:
        """What a lineage remembers, for the gate to compare with; newest last."""

    def settled(self, session: Session, model: Model, update: Update, report: R, held: bool) -> R:
        """The report with what its batches settle of earlier updates, and what they leave open where it is held."""
        return report

    def outlook(self, session: Session, model: Model, update: Update, report: R) -> str:
        """A sentence on what will settle what a report leaves open; empty where it leaves nothing."""
        return ""

    def went_live(self, session: Session, model: Model, update: Update, report: R) -> None:
        """What follows once the version of an update went live."""
