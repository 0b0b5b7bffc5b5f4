"""Classes that came with an imported version: their weights are here, and no row of them. What learns from rows or sums
alone would lose them, and no trusted row would tell. A few rows of them here are not what they were learned from."""

from __future__ import annotations

from collections.abc import Collection

from service.contract.enums import Family
from service.errors import MethodRefused
from service.learning.method import Data, Method
from service.learning.network.checkpoint import Checkpoint, Layout
from service.learning.wording import listed


def foreign(base: Checkpoint | None) -> list[str]:
    """Classes whose weights came with an imported version: how well they were known, no row here can tell. None where
    an exact head took their place, which knows its classes by sums of rows that were here."""
    if base is None or base.layout.exact is not None:
        return []
    return [name for name in base.layout.imported if name in base.classes]


def missing(layout: Layout, there: Collection[str]) -> list[str]:
    """Imported classes of a version that are not `there`, among the classes with rows. An exact head knows its classes
    by their sums."""
    if layout.exact is not None:
        return []
    return [name for name in layout.imported if name in layout.classes and name not in there]


def without_rows(base: Checkpoint | None, data: Data) -> list[str]:
    """Imported classes of the base of which no row is here, those of this update included."""
    if base is None or not base.layout.imported:
        return []
    return missing(base.layout, {*data.batch.present(), *(data.kept().present() if data.known_rows else ())})


def would_lose(method: Method, classes: Collection[str]) -> str | None:
    """Why a method cannot be used while no row of these classes is here; null where it can."""
    works_from_weights = method.family is not Family.FREEZE and not method.needs & {"kept", "ledger"}
    if not classes or works_from_weights:
        return None
    return (
        f"{listed(list(classes), quote=True)} came with an imported version, and no row of them is here: {method.name} "
        "would lose them. Use mas, lwf or l2_sp, or send rows of every class."
    )


def refuse_to_forget(method: Method, base: Checkpoint | None, data: Data) -> None:
    """Raises MethodRefused where a method works from rows and sums alone, and classes of the base have neither."""
    if reason := would_lose(method, without_rows(base, data)):
        raise MethodRefused(reason)
