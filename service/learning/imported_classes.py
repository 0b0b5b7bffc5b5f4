"""Classes of an imported version: their weights are here, the rows that they were learned from are not. A method that
learns from rows or sums alone would lose them, and no trusted row would show it."""

from __future__ import annotations

from collections.abc import Collection

from service.contract.enums import Family
from service.errors import MethodRefused
from service.learning.method import Data, Method
from service.learning.network.checkpoint import Checkpoint, Layout
from service.learning.wording import listed


def foreign(base: Checkpoint | None) -> list[str]:
    """Classes whose weights came with an imported version: no row here can show how well they were known. There are
    none once an exact head has taken over, which knows its classes by sums of rows that were here."""
    if base is None or base.layout.exact is not None:
        return []
    return [name for name in base.layout.imported if name in base.classes]


def missing(layout: Layout, with_rows: Collection[str]) -> list[str]:
    """Imported classes of a version that are not among the classes `with_rows`. An exact head misses none: it knows its
    classes by their sums."""
    if layout.exact is not None:
        return []
    return [name for name in layout.imported if name in layout.classes and name not in with_rows]


def without_rows(base: Checkpoint | None, data: Data) -> list[str]:
    """Imported classes of the base that have no row here, nor in this update."""
    if base is None or not base.layout.imported:
        return []
    return missing(base.layout, {*data.batch.present(), *(data.kept().present() if data.known_rows else ())})


def would_lose(method: Method, classes: Collection[str]) -> str | None:
    """Why a method cannot be used while these classes have no row; None where it can."""
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
