"""Yardsticks: what anybody could answer without a model, and skill beside it.

`mean`: the mean target of the row's source, of rows that judge and select · `last`: the mean target of the latest batch
· `column`: a column of the row · `ridge`: the exact head of what was known, where the version is none itself. They
answer a batch before it is learned, as the version does that is live then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from service.contract.reports.number_report import YardstickError
from service.contract.targets.number_target import ColumnYardstick, NumberTarget
from service.learning.data.rows import FeatureRows, Floats, Rows
from service.learning.evaluation.numbers.number_answers import as_targets
from service.learning.evaluation.numbers.number_assessment import Tested
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.network.checkpoint import Checkpoint
from service.learning.number_heads.equations import goals_in_units, number_head
from service.learning.number_heads.strength import choose_strength
from service.learning.wording import counted

MEAN, LAST, COLUMN, RIDGE = "mean", "last", "column", "ridge"


def yardstick_values(target: NumberTarget, ledger: Ledger, past: Sequence[Tested], raw: Rows) -> dict[str, Floats]:
    """What yardsticks answer to raw rows of an update, as targets. By name, [n, k] each; `column` with its place."""
    known = FeatureRows.concat([ledger.exam, ledger.selected])
    values: dict[str, Floats] = {}
    if len(known):
        values[MEAN] = _mean_of_source(known, raw)
    if latest := [mean for t in past for mean in t.mean]:
        values[LAST] = np.tile(latest[-1], (len(raw), 1))
    place = _column(target)  # of rows of a table that came before it was the yardstick, it may be missing
    if place is not None and not np.isnan(raw.inputs[:, place]).any():
        values[f"{COLUMN}.{place}"] = np.repeat(raw.inputs[:, place, None].astype(np.float64), target.size, 1)
    return values


def ridge_values(base: Checkpoint, space: Space, ledger: Ledger, batch: FeatureRows) -> Floats | None:
    """What the exact head of all that the base knows answers, as targets; None where the base is one. -> [n, k]"""
    grid = space.numbers
    if base.layout.exact is not None or grid is None or ledger.all.mass <= 0:
        return None
    alpha = choose_strength(ledger.learn, ledger.select, grid.size, space.shift).alpha
    answers = number_head(ledger.all, grid.size, space.shift, alpha).answers(batch, space.shift)
    return as_targets(grid, answers, goals_in_units(batch, grid), batch.targets)


def reported(target: NumberTarget, tested: Sequence[Tested]) -> dict[str, YardstickError]:
    """Errors of each yardstick that answered all these tested rows; means over the numbers of a row."""
    rows = np.concatenate([np.zeros((0, target.size)), *(t.target for t in tested)])
    errors = {}
    for name in (MEAN, LAST, _column_name(target), RIDGE):
        if name is None or not len(rows) or not all(name in t.yardsticks for t in tested):
            continue
        error = np.concatenate([t.yardsticks[name] for t in tested]) - rows
        mae, rmse = np.abs(error).mean(), np.sqrt((error**2).mean(0)).mean()
        errors[name.partition(".")[0]] = YardstickError(mae=float(mae), rmse=float(rmse))
    return errors


def beside_mean(targets: Floats) -> dict[str, YardstickError]:
    """What the mean of these targets is off by, as a first version has no rows before them. targets [n, k]"""
    if not len(targets):
        return {}
    error = targets - targets.mean(0)
    return {MEAN: YardstickError(mae=float(np.abs(error).mean()), rmse=float(np.sqrt((error**2).mean(0)).mean()))}


def skill(target: NumberTarget, tested: Sequence[Tested], values: Sequence[Floats]) -> float | None:
    """1 - mean error / that of the model's yardstick, a mean over the numbers of a row; None without either. values:
    what the versions answered to these tested rows, as targets"""
    usual = target.usual
    name = _column_name(target) if isinstance(usual, ColumnYardstick) else usual
    if name is None or not tested or not all(name in t.yardsticks for t in tested):
        return None
    error = np.concatenate([np.abs(v - t.target) for v, t in zip(values, tested, strict=True)]).mean(0)
    beside = np.concatenate([np.abs(t.yardsticks[name] - t.target) for t in tested]).mean(0)
    return float((1 - error / beside).mean()) if (beside > 0).all() else None


def not_compared(target: NumberTarget, tested: Sequence[Tested]) -> list[str]:
    """A note where skill is not known, since some tested batches were answered without the yardstick's column."""
    if not isinstance(target.usual, ColumnYardstick):
        return []
    without = [t for t in tested if _column_name(target) not in t.yardsticks]
    if not without:
        return []
    lacking, last = (sum(len(t.batches) for t in some) for some in (without, tested))
    return [
        f"Skill over the yardstick's column is not known yet: {lacking} of the last "
        f"{counted(last, 'batch', 'batches')} came before it was the yardstick, or have a row that lacks it."
    ]


def means(batches: Sequence[str], rows: Rows) -> Floats:
    """The mean target of each of these batches, each of which has rows. -> [b, k]"""
    place: Mapping[str, int] = {batch: k for k, batch in enumerate(rows.batches)}
    of_batches = [rows.targets[rows.batch == place[batch]].mean(0) for batch in batches]
    return np.stack([np.zeros(rows.targets.shape[1]), *of_batches])[1:]


def _mean_of_source(known: FeatureRows, raw: Rows) -> Floats:
    values = np.tile(known.targets.mean(0), (len(raw), 1))
    place = {source: k for k, source in enumerate(known.sources)}
    for k, source in enumerate(raw.sources):
        of_source = known.source == place.get(source, -1)
        if of_source.any():
            values[raw.source == k] = known.targets[of_source].mean(0)
    return values


def _column(target: NumberTarget) -> int | None:
    """The column that is a yardstick: of the model, else the one that is added back."""
    return target.yardstick.column if isinstance(target.yardstick, ColumnYardstick) else target.from_


def _column_name(target: NumberTarget) -> str | None:
    place = _column(target)
    return None if place is None else f"{COLUMN}.{place}"
