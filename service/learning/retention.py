"""Which methods work where learned rows are deleted, and what to use in place of the others."""

from __future__ import annotations

from service.contract.enums import Retention
from service.contract.inputs import Architecture
from service.contract.strict import Strict
from service.learning.ledger.ledger import Ledger
from service.learning.method import Data, Method
from service.learning.network.checkpoint import Checkpoint, Layout


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
