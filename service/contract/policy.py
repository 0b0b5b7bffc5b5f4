"""The gate's policy: every number of every rule, with its default and meaning. It is set on the model alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.contract.strict import Chance, Count, Share, Strict


class Familiar(Strict):
    """Which rows are like what the model has seen, and when the model counts as sure."""

    quantile: float = Field(
        0.99, gt=0.5, lt=1, description="Rows nearer than this quantile of trusted rows are familiar."
    )
    confident: Chance = Field(0.8, description="Calibrated top score from which an answer counts as sure.")


class FirstVersion(Strict):
    """Rule 0: the first version must do better than its commonest class."""

    min_rows: Count = Field(20, description="Out-of-fold rows from which the first version is judged.")
    p: Chance = Field(0.01, description="Chance probability above which it is held ...")
    min_gain: Share = Field(
        0.25, description="... if it surely is not even this part of the way from chance to perfect."
    )
    least_gain: Share = Field(0.05, description="Held, too, whatever p is, if surely not even this part of that way.")


class Unlearnable(Strict):
    """Rule 1: the labels contradict the model and follow no rule of their own."""

    min_rows: Count = Field(5, description="Familiar rows from which the rule speaks.")
    min_excess: Share = Field(0.20, description="Conflict share above the expected one.")
    p: Chance = Field(
        0.0001, description="Chance probability below which conflicts count as real; above it rule 4 may hold."
    )
    learner_p: Chance = Field(0.01, description="A batch-only learner must beat its commonest class at this p.")
    min_strange: Count = Field(
        50, description="Rows unlike anything seen, and most of the batch, from which these alone must be learnable."
    )


class ContradictsEverything(Strict):
    """Rule 2: most rows say something else than the model."""

    min_excess: Share = Field(0.50, description="Conflict share above the expected one.")
    p: Chance = Field(0.001, description="Chance probability below which conflicts count as real.")


class ContradictsClass(Strict):
    """Rule 3: rows the model is sure of carry another label; on this batch or pooled over the last ones."""

    min_rows: Count = Field(3, description="Familiar, confident rows called c from which the rule speaks of c.")
    min_share: Share = Field(
        0.20, description="Share of conflicts that agree with one another, from which the rule fires."
    )
    min_scattered: Share = Field(
        0.50, description="Share of conflicts, whatever they say, from which it fires as well."
    )
    times_expected: float = Field(3.0, ge=1, description="... and at least this many times the expected share.")
    p: Chance = Field(0.001, description="Chance probability, divided by the classes tested.")
    pooled_batches: int = Field(20, ge=1, le=200, description="Latest batches that are pooled against slow poison.")
    lasting_batches: int = Field(
        100,
        ge=1,
        le=1000,
        description="Latest batches among which conflicts that agree are added up for as long as they are too many, "
        "beside what was usual before they began; none are where recent rows alone are trusted.",
    )
    lasting_p: Chance = Field(
        0.0001, description="The same chance for those: they are looked at anew with each batch, so they must be surer."
    )


class DisagreesBroadly(Strict):
    """Rule 4: noticeably more conflicts than usual."""

    min_excess: Share = Field(0.15, description="Conflict share above the expected one.")
    p: Chance = Field(0.001, description="Chance probability below which conflicts count as real.")


class Forgets(Strict):
    """Rule 5: masked accuracy on trusted rows fell, that is, where only classes that were known before may answer."""

    max_masked_drop: Share = Field(0.02, description="Allowed fall when no class is new.")
    max_masked_drop_new: Share = Field(0.03, description="Allowed fall when classes are new.")
    p_reject: Chance = Field(0.01, description="Rejected below this chance probability.")
    p_hold: Chance = Field(0.05, description="Held below this chance probability.")


class Intrudes(Strict):
    """Rule 6: old rows are answered with a new class."""

    margin: Share = Field(0.05, description="Allowed above the yardstick's own share.")
    without_yardstick: Share = Field(0.10, description="Allowed where there is no yardstick.")
    max_taken: Share = Field(
        0.15,
        description="Fall of the old rows' accuracy, whatever the yardstick's, that is allowed where nothing shows "
        "that the new classes are classes of their own (renames): held above it.",
    )
    p_taken: Chance = Field(0.01, description="Chance probability below which such a fall counts as real.")


class Renames(Strict):
    """Rule 12: the rows of a new class are rows of old classes under another name."""

    min_rows: Count = Field(10, description="Judged rows of the new class from which the rule speaks of it.")
    min_sure: Count = Field(
        8, description="So many of them at least the live version takes for old ones, surely, and finds familiar;"
    )
    min_share: float = Field(
        0.6,
        ge=0,
        description="and so great a part of them; 1: as many as of trusted rows of the class it is least often sure "
        "of, among those that it takes them for. It may be less",
    )
    min_share_of_many: float = Field(0.2, ge=0, description="of many rows, where a part of them may be old ones.")
    many_rows: Count = Field(
        40, description="Rows that are many. Where it is sure of too few of those, all of them are compared."
    )
    min_separation: Share = Field(
        0.75,
        description="Of pairs of a row of the new class and a trusted row that the live version calls the same, the "
        "share in which the former lies nearer to the new class: 0.5 where nothing but the name differs, 1 where all "
        "can be told apart. Held below this ...",
    )
    usual_separation: float = Field(0.9, gt=0.5, lt=1, description="... if it is surely less than this, too.")
    p: Chance = Field(0.01, description="Chance probability for that, divided by the classes compared.")


class NewClassNotLearned(Strict):
    """Rule 7: a new class is not recognised."""

    min_rows: Count = Field(10, description="Rows of new classes from which the rule speaks; fewer: unproven.")
    share_of_yardstick: Share = Field(0.5, description="Share of the yardstick's recall that is due.")


class WorstClass(Strict):
    """Rule 8: one class got much worse."""

    min_rows: Count = Field(20, description="Trusted rows from which a class is tested alone; others as one group.")
    p: Chance = Field(0.01, description="Holm-corrected probability.")
    max_drop: Share = Field(0.10, description="Held above this fall.")
    reject_drop: Share = Field(0.30, description="Rejected above this fall.")


class SlowLoss(Strict):
    """Rule 9: small losses add up against any of the remembered promoted versions."""

    versions: int = Field(
        10,
        ge=1,
        le=200,
        description="Latest promoted versions that are all looked back on; beyond them those 16, 32, 64 ... back, the "
        "first, and the last that a person promoted; none from before one that a person promoted against the gate.",
    )
    max_drop: Share = Field(0.04, description="Allowed fall since any of them.")
    max_class_drop: Share = Field(0.10, description="Allowed fall of one class since any of them.")
    p: Chance = Field(
        0.01,
        description="Chance probability of a fall below which it is held, corrected for the versions compared: one "
        "among many proves little.",
    )
    p_class: Chance = Field(
        0.01,
        description="The same of the fall of a class, Holm-corrected over classes, too: a class has few trusted rows, "
        "which prove little.",
    )
    min_margins: int = Field(
        15,
        ge=5,
        description="Trusted rows of a class from which their margins are compared, too: where those fell by four "
        "fifths of max_class_drop, as a share of right rows with soft edges, one lost row is enough.",
    )


class LearnedNothing(Strict):
    """Rule 10: on its own rows the new version is worse than the one before."""

    min_rows: Count = Field(50, description="Rows of the update from which the rule speaks.")
    p: Chance = Field(0.01, description="Chance probability below which it is held.")


class Reconcilable(Strict):
    """Honest shift against swapped labels: can old and new rows both be right?"""

    min_fixed: Share = Field(
        0.6,
        description="Share of conflicting rows that a joint head must get "
        "right, of the share of trusted rows that the live version gets right.",
    )
    max_old_loss: Share = Field(0.10, description="Loss allowed on old rows of those classes.")


class WrongColumns(Strict):
    """Rule 13: columns of the batch are mixed up, in another unit, or filled with one value."""

    min_rows: Count = Field(20, description="Rows of the batch, and known ones, from which columns are compared.")
    p: Chance = Field(
        0.0001,
        description="Chance probability, divided by the columns, that a column differs so much (Kolmogorov-Smirnov).",
    )
    max_left: Share = Field(
        0.4,
        description="Held where other columns' places, or a power of ten, leave at most this part of how far the "
        "columns lie from all rows before, and from those of each earlier batch.",
    )


class Disputes(Strict):
    """When a later batch settles what one batch disputed: confirmed by the p of rule 3, or refuted."""

    min_rows: Count = Field(5, description="Rows that the model surely calls c, from which a batch refutes.")
    max_share: float = Field(0.1, gt=0, le=1, description="Conflict share of those below which it does.")
    hours: float = Field(24, ge=0, description="A batch under the same key confirms only so long after the first.")


class GatePolicy(Strict):
    """All rules. A model that names no policy gets these numbers."""

    familiar: Familiar = Familiar()
    first_version: FirstVersion = FirstVersion()
    unlearnable: Unlearnable = Unlearnable()
    contradicts_everything: ContradictsEverything = ContradictsEverything()
    contradicts_class: ContradictsClass = ContradictsClass()
    disagrees_broadly: DisagreesBroadly = DisagreesBroadly()
    forgets: Forgets = Forgets()
    intrudes: Intrudes = Intrudes()
    new_class_not_learned: NewClassNotLearned = NewClassNotLearned()
    worst_class: WorstClass = WorstClass()
    slow_loss: SlowLoss = SlowLoss()
    learned_nothing: LearnedNothing = LearnedNothing()
    reconcilable: Reconcilable = Reconcilable()
    renames: Renames = Renames()
    wrong_columns: WrongColumns = WrongColumns()
    disputes: Disputes = Disputes()
    trusted: Literal["all", "recent"] = Field(
        "all",
        description="Which rows a new version must not lose: trusted rows of all that was learned; recent: of the last "
        "batches alone, for streams whose past stops being true. Then older rows are reported, not judged, and auto "
        "lets older batches count less as far as that would have helped.",
    )
    recent_batches: int = Field(20, ge=1, le=1000, description="Batches that are recent.")

    def out_of_order(self) -> tuple[str, str] | None:
        """Where two thresholds of a rule contradict each other, and a sentence; None where none do. This is no
        validator, since a PATCH names some thresholds alone and what is stored must still be read."""
        forgets, worst = self.forgets, self.worst_class
        if forgets.p_reject > forgets.p_hold:
            wrong = f"forgets.p_reject ({forgets.p_reject:g}) is over p_hold ({forgets.p_hold:g})"
            return "/forgets/p_reject", f"{wrong}: what is rejected would not even be held. Let it be at most p_hold."
        if worst.max_drop > worst.reject_drop:
            wrong = f"worst_class.max_drop ({worst.max_drop:g}) is over reject_drop ({worst.reject_drop:g})"
            return "/worst_class/max_drop", f"{wrong}: nothing would be held. Let it be at most reject_drop."
        return None
