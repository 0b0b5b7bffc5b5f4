"""Rows that are not here: deleted once they were learned, or learned elsewhere, before a version was imported. Which
methods work without them, and what to use in place of the others: no trusted row would show what those lose."""

from __future__ import annotations

from collections.abc import Collection

from service.contract.enums import Family, Retention
from service.contract.inputs import Architecture
from service.contract.strict import Strict
from service.errors import MethodRefused
from service.learning.ledger.ledger import Ledger
from service.learning.method import Method
from service.learning.network.checkpoint import Checkpoint, Layout
from service.learning.update_data import Data
from service.learning.wording import listed


def refused(
    method: Method, params: Strict, retention: Retention, architecture: Architecture, base: Layout | None
) -> str | None:
    """Why a method cannot be used under a retention, with the remedy; None: it can. `base`: layout of the live version.

    Without rows nothing can be rehearsed, and a backbone that moves voids the sums that are all that is left of them.
    """
    if retention is not Retention.NONE:
        return None
    if "kept" in method.needs:
        return (
            f"{method.name} learns from kept rows, and this model keeps none (retention none). Use auto, ridge or lda; "
            'or set "retention": "exemplars" and send rows.'
        )
    backbone = base.backbone if base is not None else architecture.backbone
    if method.moves_features(params, backbone) and not (base is not None and base.lifts):
        return (
            f"{method.name} moves the backbone, which voids the sums of all rows learned before, and this model keeps "
            'no rows to sum again (retention none). Use auto, ridge or lda; or set "retention": "exemplars".'
        )
    return None


def lacking(ledger: Ledger, known_rows: int) -> list[str]:
    """A note where a ledger was summed anew from the rows that are left, and so lacks some."""
    if ledger.rows >= known_rows:
        return []
    return [
        f"The sums in this feature space were made from the {ledger.rows:,} rows that are kept of {known_rows:,} "
        "learned ones: the others were deleted, and what was summed of them was summed in another space."
    ]


def refuse_without_rows(name: str, base: Checkpoint | None, data: Data) -> str | None:
    """Why a method cannot rehearse: the base knows classes and no row is kept; else None."""
    return None if base is None or not base.classes or data.kept_rows else none_kept(name)


def none_kept(name: str) -> str:
    """The sentence that no learned row is left for a method, with the remedy."""
    return (
        f"{name} learns kept rows again, and none is kept of what this model knows. ridge, lda and linear_probe need "
        'none, lwf and l2_sp hold weights instead; a model with "retention": "all" keeps every row.'
    )


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
