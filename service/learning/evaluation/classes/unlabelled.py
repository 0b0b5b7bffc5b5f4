"""Reports how strange the rows are that came without a label."""

from __future__ import annotations

from service.contract.policy import GatePolicy
from service.contract.report import Report
from service.learning.evaluation.classes.class_report import with_batch
from service.learning.evaluation.classes.familiarity import is_familiar
from service.learning.ledger.feature_space import Space, rounded
from service.learning.ledger.ledger import Ledger
from service.learning.method import Data
from service.learning.run import Run

WORTH_LABELLING = 0.3
"""From this share of unfamiliar rows on, the note says what to do about them."""


def with_unlabelled(report: Report, data: Data, space: Space, ledger: Ledger, policy: GatePolicy, run: Run) -> Report:
    """Adds to the report how many of the update's rows without a label are unlike anything that was learned.

    `ledger`: of the base, in `space`; without trusted rows nobody knows how far familiar rows lie.
    """
    rows = len(data.unlabelled)
    if not rows:
        return report
    share = None
    if len(ledger.exam):
        features = rounded(space, data.unlabelled, run.silent)
        share = float(1 - is_familiar(ledger.unjudged, ledger.exam, features, policy.familiar.quantile).mean())
    notes = [*report.batch.notes, _note(rows, share)]
    return with_batch(report, unlabelled=rows, unlabelled_unfamiliar_share=share, notes=notes)


def _note(rows: int, share: float | None) -> str:
    came = "1 row came" if rows == 1 else f"{rows:,} rows came"
    note = f"{came} without a label: only the method mas uses such rows."
    if share is None:
        return note
    strange = round(share * rows)
    words = f" {strange:,} of them {'is' if strange == 1 else 'are'} unlike anything that was learned."
    return note + words + (" Labels for some of those would teach most." if share >= WORTH_LABELLING else "")
