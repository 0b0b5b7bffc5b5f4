"""What a verdict's sentence needs of a kind of target, instead of which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from service.contract.enums import Verdict

R = TypeVar("R")


class VerdictWords(ABC, Generic[R]):
    @abstractmethod
    def gained(self, report: R) -> str:
        """Says what a version gained, and what became of what it knew."""

    @abstractmethod
    def part(self, report: R, base: int | None) -> str:
        """Says how the first of an update's batches, which stands out, differs from the others, beside the version
        that the update started from."""

    def far_rows(self, report: R, verdict: Verdict) -> str:
        """Names the rows, where they are few, by which an update may have been stopped; begins with a blank."""
        return ""
