"""The gate's policy for models whose targets are numbers. Errors are |value - target|, of the live version on rows that
it had not learned unless a rule says otherwise; usual ones are those of the last promoted batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.contract.policy import WrongColumns
from service.contract.strict import Chance, Count, Share, Strict


class NumberFirstVersion(Strict):
    """Rule 0: the first version must do better than the median of its targets."""

    min_rows: Count = Field(20, description="Out-of-fold rows from which the first version is judged.")
    p: Chance = Field(0.01, description="Chance probability above which it is held ...")
    min_skill: Share = Field(0.05, description="... if its skill over the median surely is below this.")


class NumberUnlearnable(Strict):
    """Rule 1: nothing in the rows says what their targets are."""

    min_order: Share = Field(
        0.15, description="Rank correlation, out of fold, of a head of the batch alone below which ..."
    )
    p: Chance = Field(0.01, description="... and at least this chance probability, it has learned nothing.")
    usual_order: Share = Field(0.3, description="Usual order above which its absence means something.")


class WrongUnit(Strict):
    """Rule 2: one factor would make all targets fit."""

    max_after: float = Field(1.25, gt=1, description="Median error after the repair, over the usual one.")
    min_gain: Chance = Field(0.5, description="... and at most this part of what it is as sent.")


class NumberContradictsEverything(Strict):
    """Rule 2: errors are far beyond any usual batch's."""

    times: float = Field(3.0, gt=1, description="Mean and median error over the usual ones.")


class OneValue(Strict):
    """Rule 2: nearly all targets are one value."""

    min_excess: float = Field(
        0.5, gt=0, le=1, description="Share of the commonest target above that among trusted rows."
    )


class Outliers(Strict):
    """Rule 3: a few targets are far beyond any error of the last batches."""

    times: float = Field(3.0, gt=1, description="Beyond so many times the 99 % quantile of the last batches.")
    p: Chance = Field(1e-4, description="Chance probability of so many such rows.")


class NumberDisagreesBroadly(Strict):
    """Rule 4: errors, their sign or the order of targets are unlike those of the last batches."""

    times: float = Field(1.5, gt=1, description="Mean or median error over the usual ones, to be far off.")
    max_bias: float = Field(0.8, gt=0, description="Mean signed error, in usual errors, beyond which it is shifted.")
    p: Chance = Field(0.0005, description="Chance probability below which a batch is unlike the others.")


class NumberMoved(Strict):
    """When batches that were stopped show that the stream has moved, and the next one is compared with them."""

    batches: int = Field(
        2, ge=1, le=100, description="Stopped batches in a row, since the live version came, that are evidence ..."
    )
    p: Chance = Field(
        0.01, description="... if the next one is like them: no figure has a chance probability below this."
    )


class NumberForgets(Strict):
    """Rule 5: errors on trusted rows rose."""

    max_rise: float = Field(0.05, ge=0, description="Allowed rise of the mean error, relative.")
    reject_rise: float = Field(0.20, ge=0, description="Rise above which it is rejected, not held.")
    p: Chance = Field(0.01, description="Chance probability (Wilcoxon, row by row) of a rise.")
    min_rows: Count = Field(
        30, description="Trusted rows from which it is judged, and slow_loss, where older batches count less."
    )


class WorstRegion(Strict):
    """Rule 8: errors rose in a fifth of the values, or for a source."""

    min_rows: Count = Field(20, description="Trusted rows from which a region is judged.")
    max_rise: float = Field(0.25, ge=0, description="Allowed rise there.")
    reject_rise: float = Field(0.75, ge=0, description="Rise above which it is rejected, not held.")
    p: Chance = Field(0.001, description="Chance probability, Holm-corrected over regions.")


class NumberSlowLoss(Strict):
    """Rule 9: many small losses."""

    versions: int = Field(20, ge=1, le=200, description="Latest promoted versions that are looked back on.")
    max_rise: float = Field(0.10, ge=0, description="Allowed rise of the error since any of them.")
    p: Chance = Field(0.001, description="Chance probability of such a rise.")


class NumberLearnedNothing(Strict):
    """Rule 10: on its own rows the new version is worse than the one before."""

    min_rows: Count = Field(50, description="Rows of the update from which the rule speaks.")
    max_rise: float = Field(0.02, ge=0, description="Allowed rise of the error on them.")
    p: Chance = Field(0.001, description="Chance probability below which it is held.")


class NumberPolicy(Strict):
    """All rules for numbers. A model that names no policy gets these."""

    first_version: NumberFirstVersion = NumberFirstVersion()
    unlearnable: NumberUnlearnable = NumberUnlearnable()
    wrong_unit: WrongUnit = WrongUnit()
    contradicts_everything: NumberContradictsEverything = NumberContradictsEverything()
    one_value: OneValue = OneValue()
    outliers: Outliers = Outliers()
    disagrees_broadly: NumberDisagreesBroadly = NumberDisagreesBroadly()
    moved: NumberMoved = NumberMoved()
    forgets: NumberForgets = NumberForgets()
    worst_region: WorstRegion = WorstRegion()
    slow_loss: NumberSlowLoss = NumberSlowLoss()
    learned_nothing: NumberLearnedNothing = NumberLearnedNothing()
    wrong_columns: WrongColumns = WrongColumns()
    trusted: Literal["all", "recent"] = Field(
        "all",
        description="Which rows a new version must not lose: trusted rows of all that was learned; recent: of the last "
        "batches alone, for streams whose past stops being true.",
    )
    recent_batches: int = Field(20, ge=1, le=1000, description="Batches that are recent, and that are usual.")

    def out_of_order(self) -> tuple[str, str] | None:
        """As of `GatePolicy`."""
        for name in ("forgets", "worst_region"):
            rule: NumberForgets | WorstRegion = getattr(self, name)
            if rule.max_rise > rule.reject_rise:
                wrong = f"{name}.max_rise ({rule.max_rise:g}) is over reject_rise ({rule.reject_rise:g})"
                return f"/{name}/max_rise", f"{wrong}: nothing would be held. Let it be at most reject_rise."
        return None
