"""What the reports of all kinds of targets have: what an update cost, what the gate said, what can be proved."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from service.contract.enums import Expect, Outcome, Severity
from service.contract.strict import Brief
from service.remedies import EXPECT

TAKEN_BACK = (
    "When the same rows from the same source were last taken back, before they came again; null where another batch "
    "has them, corrected, which a note says."
)


class Fact(Brief, BaseModel):
    """A frozen part of a report. All shares lie in [0, 1]; null means "no evidence". A newer service may tell more."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class NewValue(Fact):
    """A value of a category that the live version has not learned."""

    value: str
    rows: int = Field(description="Labelled rows of the update that have it.")
    near: list[str] = Field(
        default=[],
        description="Learned values of its column that look like it, nearest first; none where most values are new.",
    )


NewValues = dict[str, list[NewValue]]
"""New values by column, at most 100 of each, those with the most rows first."""


class BatchPart(Fact):
    """One of several batches that were learned together, beside the others."""

    batch: str
    rows: int
    error: float = Field(
        description="Mean error of the live version at its rows; of classes, the share that it answers otherwise."
    )
    others: float = Field(description="The same at the rows of the others.")
    stands_out: bool = Field(description="Whether its error is surely, and at least twice, that of the others.")


PARTS = "Of several batches that were stopped together, at most 100: those of the largest errors first."

STOPPED_ALONE = "Of several batches that were stopped together, those that the gate had stopped before, each alone."


class Cost(Fact):
    seconds: float = Field(description="Of the process that learned: from its order to the last stored byte.")
    wait_seconds: float = Field(description="In the queue.")
    rows: int
    parameters_added: int
    bytes_added: int
    share_of_retraining: float | None = Field(
        description="A fraction, 0.01 for a hundredth: multiply-adds of this update / those of joint retraining on all "
        "learned rows, of the model's own network or, where it names none, of the mlp (images: cnn) auto would train."
    )
    multiply_adds: int = 0
    parts: dict[str, float] = Field(
        default={},
        description="Where the seconds went, by phase: queue, handover (to the process that learns), reading, choosing "
        "(of the method, by auto), features, training, solving, judging, storing, loading (before it is served).",
    )


BESIDE_SETTINGS = "Only what the batch changed counts here: before is the live version with the settings of this one."
"""Ends what a rule found that compares a version not with the one before but with its own settings."""

BY_CHANCE = "so it passes."
"""Ends what a rule found whose value is beyond its limit, and which passes by its other condition."""

MOVE = EXPECT(what=Expect.MOVE)
"""What to send where targets moved on purpose; stands in what a rule found that may be such a move."""


class Rule(Fact):
    """One rule of the gate. `passed` null: no evidence, which passes with a flag."""

    name: str
    number: int
    limit: float | None
    value: float | None
    passed: bool | None
    severity: Severity | None = None
    why: str
    remedy: str = Field(
        default="",
        description="What a person can do about it, which ends `why`; empty where that is nothing, and where another "
        "rule says what to do.",
    )
    unproven: bool = Field(default=False, description="Whether there were too few rows to judge by.")
    figures: dict[str, int | float | str | list[str]] = Field(
        default={},
        description="What `why` counts and names, for a sentence in another language: rows and other counts, shares in "
        "[0, 1], a class, a version. Which there are differs by rule; docs/gate.md lists them.",
    )

    @property
    def finding(self) -> Rule:
        """The same without what to do about it."""
        return self.model_copy(update={"why": self.why.removesuffix(self.remedy).rstrip(), "remedy": ""})

    @property
    def expect(self) -> Expect | None:
        """What to say of the same rows if that is meant which it found; None where nothing excuses it."""
        said = self.figures.get("expect")
        return Expect(said) if isinstance(said, str) else None


WHOLE = ("wrong_columns", "wrong_unit", "one_value", "unlearnable")
"""Rules that find a whole batch at fault."""


class GateReport(Fact):
    brief: ClassVar = ("outcome", "why")

    outcome: Outcome
    rules: list[Rule]
    unproven: bool = False
    why: str = Field(default="", description="The sentence of the rule that decided.")
    decided_by: str | None = Field(
        default=None, description="The name of the rule whose sentence `why` is; null where none fired."
    )

    @property
    def deciding(self) -> Rule | None:
        """The rule whose sentence is the gate's, if one fired; of reports without its name the first of those that say
        most against it."""
        firing = [
            rule for severity in (Severity.REJECTED, Severity.HELD) for rule in self.rules if rule.severity is severity
        ]
        named = (rule for rule in firing if rule.name == self.decided_by)
        return next(named, firing[0] if firing else None)

    @property
    def found(self) -> str:
        """What it found against a version, with neither what stayed live then nor what to do, such as "Rejected: it
        forgot."; "" where it lets it pass."""
        if (rule := self.deciding) is None:
            return ""
        what = rule.finding.why
        return f"{'Rejected' if self.outcome is Outcome.FAIL else 'Held'}: {what[:1].lower()}{what[1:]}"

    @property
    def faults_all(self) -> bool:
        """Whether it was stopped for what is wrong with the whole batch: other labels of some rows mend nothing."""
        return self.deciding is not None and self.deciding.name in WHOLE


class ShardFact(Fact):
    """One stored part of a version, and which batches had a hand in it."""

    part: str
    digest: str
    status: str = Field(
        description='"recomputed", "never saw it" or "decided by it, holds nothing learned"; recomputed parts may come '
        "out the same, such as values of categories that other batches have, too."
    )


class Certificate(Fact):
    """Anybody can recompute it: digests of the sums over what the version still holds (docs/certificate.md)."""

    feature_space: str | None
    ledger_digest: str | None = Field(description="SHA-256 of the sums, laid out in docs/certificate.md.")
    rows: int
    removed: list[str] = Field(description="The batches taken back.")
    shards: list[ShardFact]
    decided: list[str] = Field(
        description="What else they had decided: scale, lift, class order, or the method that auto chose."
    )
    exact: bool
    torch: str
    threads: int
    processor: str = Field(
        default="",
        description="Instructions that torch computes with, such as AVX2 or AVX512: features may differ in their last "
        "bit between two. Empty in certificates that are older than this field.",
    )
    seed: int
