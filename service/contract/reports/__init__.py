"""Reports of updates, by kind of target."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.contract.reports.class_report import Report, SuspectRow
from service.contract.reports.number_report import NumberReport, OutlierRow

AnyReport = Annotated[Report | NumberReport, Field(union_mode="left_to_right")]
"""The report of an update, of classes or of numbers: neither is valid as the other."""

AnySuspect = SuspectRow | OutlierRow
"""A row that may be wrong, of either kind of target."""

FEW_TRUSTED = 20
"""On fewer trusted rows what was forgotten is no figure to people: each row is more than five points of it."""


def forgotten(report: AnyReport) -> tuple[float | None, int]:
    """`forgetting`, and the trusted rows that it rests on; None in its place where it is not known, and where these are
    fewer than `FEW_TRUSTED`."""
    rows = report.before.rows if report.before is not None else 0
    return report.forgetting if rows >= FEW_TRUSTED else None, rows


def batches_apart(report: AnyReport) -> set[str]:
    """Of batches that were judged together those that stand out, those with targets far out, and those that were
    stopped alone before."""
    return {*report.batches_far_out, *report.batch.stopped_alone} | {
        part.batch for part in report.batch.parts if part.stands_out
    }


def nothing_left(report: AnyReport) -> bool:
    """Whether a retraction took back all that was learned, and put nothing in its place."""
    proof = report.certificate
    return proof is not None and not proof.rows and not report.cost.rows
