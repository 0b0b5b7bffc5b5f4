"""The bodies of requests. Objects refuse fields that they do not know."""

from __future__ import annotations

import json
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from service.contract.body_limits import MOST_ROWS
from service.contract.enums import Expect, NewClasses, NewValues, Promotion, Retention
from service.contract.inputs import Architecture, InputSpec
from service.contract.names import LONGEST_GROUP, LONGEST_NAME, MOST_CLASSES, NO_UNSEEN, has_unseen, unseen_at
from service.contract.strict import Device, KeepVersions, Listed, Strict
from service.contract.tables import LeftOut
from service.contract.targets import TARGET, Target
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import AnyPolicy
from service.contract.targets.number_target import Level, Yardstick, with_places

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$", description="Lower case, at most 100.")]
MODEL_NAME = (
    "A model's name has lower-case letters, digits, dots, dashes and underscores; it begins with a letter or digit and "
    "has at most 100 characters."
)
LONGEST_SOURCE = 200


def _seen(source: str) -> str:
    if has_unseen(source):
        raise ValueError(f"source {NO_UNSEEN}")
    return source


def _readable(reason: str) -> str:
    place = unseen_at(reason)
    if place is not None:
        raise ValueError(f"reason {NO_UNSEEN}: character {place + 1:,} is U+{ord(reason[place]):04X}")
    return unicodedata.normalize("NFC", reason)


Reason = Annotated[
    str,
    Field(max_length=2000, description="Why, for the people who read the history; in a line, all of it visible."),
    AfterValidator(_readable),
]
Source = Annotated[str, Field(max_length=LONGEST_SOURCE), AfterValidator(_seen)]
MOST_BATCHES = 10_000
"""Most batches that one body names."""
MOST_PARAMETERS = 100
"""Most parameters of a method."""
FEWER_PARAMETERS = "GET /v1/methods says which there are."
ClassName = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_NAME})]
"""The schema describes the cleaned name; `clean_class_name` checks it."""
BatchId = Annotated[str, Field(max_length=64)]
IfLive = Annotated[int | None, Field(default=None, ge=1, description="Refuse (409) unless this version is live.")]


class MethodChoice(BaseModel):
    """A method by name, with its parameters beside the name."""

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra={"maxProperties": MOST_PARAMETERS + 1})

    name: str = Field(max_length=100, description="One of GET /v1/methods.", examples=["auto", "ridge"])

    @model_validator(mode="after")
    def _few(self) -> MethodChoice:
        if len(self.params) > MOST_PARAMETERS:
            raise ValueError(f"A method has at most {MOST_PARAMETERS} parameters. {FEWER_PARAMETERS}")
        return self

    @property
    def params(self) -> dict[str, Any]:
        """The parameters alone."""
        return dict(self.model_extra or {})


class CreateModel(Strict):
    """A model: what it takes, and how it learns."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "digits", "input": {"kind": "vector", "size": 64}},
                {
                    "name": "load",
                    "input": {"kind": "vector", "size": 8},
                    "target": {"kind": "number", "names": ["MW"], "from": 3},
                },
                {
                    "name": "stays",
                    "input": {
                        "kind": "table",
                        "columns": [
                            {"name": "nights", "kind": "number"},
                            {"name": "city", "kind": "category"},
                            {"name": "booked", "kind": "date"},
                        ],
                    },
                },
            ]
        }
    )

    name: ModelName
    input: InputSpec
    architecture: Architecture = Field(
        default_factory=lambda known: Architecture.usual(known.get("input")),
        description="What a first version uses; by default minilm for texts, else the identity.",
    )
    classes: Listed[ClassName] = Field(
        default=[], max_length=MOST_CLASSES, description="Classes declared before any data."
    )
    method: MethodChoice = Field(default=MethodChoice(name="auto"), description="What updates use when they name none.")
    target: Target = Field(default=ClassTarget(), description="What is predicted of a row.")
    gate: AnyPolicy = Field(
        default_factory=lambda known: known.get("target", ClassTarget()).Policy(),
        description="Thresholds of the gate: GatePolicy where classes are predicted, NumberPolicy where numbers are.",
    )
    promotion: Promotion = Promotion.AUTO
    retention: Retention = Field(
        default=Retention.ALL,
        description="Rows that are kept once they are learned: all; exemplars, memory_rows of them and those that "
        "judge; none.",
    )
    memory_rows: int = Field(
        default=500, ge=1, le=100_000, description="Learning rows that exemplars keeps, shared by the classes."
    )
    leave_out: LeftOut = Field(
        default=[], description="Columns of CSV files that the model does not look at, such as a number of the row."
    )
    keep_versions: KeepVersions = 0

    @field_validator("target", mode="before")
    @classmethod
    def _of_input(cls, target: Any, info: ValidationInfo) -> Any:
        placed = with_places(target, info.data.get("input"))
        return TARGET.validate_json(json.dumps(placed), strict=True) if isinstance(placed, dict) else placed

    @field_validator("gate", mode="before")
    @classmethod
    def _of_target(cls, gate: Any, info: ValidationInfo) -> Any:
        return _policy(gate, info.data.get("target"))


def _policy(gate: Any, target: Target | None) -> Any:
    """The policy that fits the target, since some rules of both kinds have the same name; any, where the target itself
    is wrong. Raises ValidationError."""
    if target is None:
        return ClassTarget.Policy()
    return target.Policy.model_validate_json(json.dumps(gate), strict=True) if isinstance(gate, dict) else gate


class PatchTarget(Strict):
    """What may change of a target that is numbers."""

    yardstick: Yardstick | None = Field(default=None, description="What skill is measured by from now on.")
    level: Level | None = Field(default=None, description="Share of rows to come that an interval is meant to hold.")


class PatchModel(Strict):
    """What may change on a model. Validated with the model's target as `target` and its input as `input` in the
    context."""

    method: MethodChoice | None = None
    gate: AnyPolicy | None = Field(
        default=None, description="Thresholds to change, however deep; those that are left out stay as they are."
    )
    target: PatchTarget | None = None
    promotion: Promotion | None = None
    retention: Retention | None = Field(
        default=None,
        description="From all to exemplars or none: rows that were learned are deleted soon after the answer, for "
        "good. Back to all: from then on; what was deleted stays deleted.",
    )
    memory_rows: int | None = Field(default=None, ge=1, le=100_000)
    leave_out: LeftOut | None = Field(default=None, description="Those columns of CSV files, in place of those before.")
    keep_versions: KeepVersions | None = None

    @field_validator("gate", mode="before")
    @classmethod
    def _of_target(cls, gate: Any, info: ValidationInfo) -> Any:
        return _policy(gate, (info.context or {}).get("target", ClassTarget()))

    @field_validator("target", mode="before")
    @classmethod
    def _of_input(cls, target: Any, info: ValidationInfo) -> Any:
        known = info.context or {}
        if target is not None and not (kind := known.get("target", ClassTarget())).changes:
            raise ValueError(f"this model predicts {kind.predicts}, and nothing of that may change: leave target out")
        placed = with_places(target, known.get("input"))
        return PatchTarget.model_validate_json(json.dumps(placed), strict=True) if isinstance(placed, dict) else placed


class ClassNames(Strict):
    """Classes to declare."""

    names: Listed[ClassName] = Field(min_length=1, max_length=MOST_CLASSES, examples=[["5", "6"]])


Inputs = Annotated[
    list[Any],
    Field(
        max_length=MOST_ROWS,
        description='Rows: lists of numbers; images as nested lists [c][h][w], {"png": base64} or {"jpeg": base64}; '
        "of a table objects with a member a column, or lists in the order of its columns; or texts.",
    ),
]
Labels = Annotated[
    list[Any],
    Field(
        max_length=MOST_ROWS,
        description="One label a row: strings; numbers and booleans as their JSON text; null: not known.",
    ),
]
Targets = Annotated[
    list[Any],
    Field(
        max_length=MOST_ROWS,
        description="In place of labels, where the model predicts numbers: one number a row, or a list where it "
        "predicts several; null: not known.",
    ),
]
Groups = Annotated[
    Annotated[list[Any], Field(max_length=MOST_ROWS)] | Annotated[str, Field(max_length=LONGEST_GROUP)] | None,
    Field(
        default=None,
        description="What rows belong to that must not be learned from and judged by at once: a patient, a video, a "
        f"document. One name a row, null for a row in none; or one for all rows; 1 to {LONGEST_GROUP} characters each.",
    ),
]
OfNewValues = Annotated[
    NewValues | None,
    Field(description="Of open categories of a table: take or refuse; by default as each column says."),
]


class CreateBatch(Strict):
    """Rows with their labels; with targets, where the model predicts numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [[0, 3, 7, 1]], "labels": ["4"], "new_classes": "allow"},
                {"inputs": ["where is my order"], "labels": ["order"]},
                {"inputs": [[0.1, 3, 512.3], [0.2, 4, 498]], "targets": [505.1, None]},
                {"inputs": [{"nights": 3, "city": "Osaka"}], "labels": ["comes back"], "new_values": "refuse"},
                {"inputs": [{"png": "iVBORw0KGgo..."}, [[[0, 255], [255, 0]]]], "labels": ["cat", None]},
            ]
        },
    )

    inputs: Inputs
    labels: Labels | None = None
    targets: Targets | None = None
    groups: Groups
    source: Source | None = Field(default=None, description="Where the rows come from.")
    new_classes: NewClasses = NewClasses.REFUSE
    new_values: OfNewValues = None
    again: bool = Field(default=False, description="Count the same content and source a second time.")


def together(word: str) -> str:
    """Says that inputs come with labels, or with targets."""
    return f"inputs and {word} go together; for rows that have none, {word} is [null, ...]"


class CreateUpdate(Strict):
    """Learn from stored batches, from all pending ones, or from rows in this body."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"inputs": [[0, 3, 7, 1]], "labels": ["4"], "new_classes": "allow"}, {"batches": "pending"}]
        },
    )

    batches: Annotated[Listed[BatchId], Field(max_length=MOST_BATCHES)] | Literal["pending"] | None = Field(
        default=None,
        description="Ids, or the word pending: all that wait, stopped and refuted ones too (`pending` of the model).",
    )
    inputs: Inputs | None = None
    labels: Labels | None = None
    targets: Targets | None = None
    groups: Groups
    source: Source | None = None
    new_classes: NewClasses = NewClasses.REFUSE
    new_values: OfNewValues = None
    again: bool = False
    expect: Expect | None = Field(
        default=None,
        description="relabel: labels of known inputs change on purpose; move: targets that are numbers move at once, "
        "as prices do. Rules 2 to 4 of the gate do not stop what that explains. Needs the scope promote.",
    )
    method: MethodChoice | None = None
    device: Device | None = Field(
        default=None,
        description="Where it trains and makes features: cpu, cuda, cuda:1, mps or auto, as far as the service lets "
        "updates choose; by default where its setting says.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _one_of(self) -> CreateUpdate:
        annotated = self.labels is not None or self.targets is not None
        inline = self.inputs is not None or annotated
        if inline and self.batches is not None:
            raise ValueError("give batches, or inputs and labels, not both")
        if not inline and self.batches is None:
            raise ValueError('give batches (ids or "pending"), or inputs and labels')
        if inline and self.inputs is None:
            raise ValueError(together("targets" if self.labels is None else "labels"))
        if self.groups is not None and not inline:
            raise ValueError("groups are those of inputs in this body; stored batches have theirs")
        return self


class CreateRetraction(Strict):
    """Take batches back out of everything that is served."""

    batches: Listed[BatchId] = Field(min_length=1, max_length=1000)
    reason: Reason = ""
    erase: bool = Field(default=False, description="Delete the rows and everything made of them, too.")


class CreateDeployment(Strict):
    """Make a version live."""

    version: int = Field(ge=1)
    reason: Reason = ""
    if_live: IfLive
    rebase: bool = Field(
        default=False,
        description="Learn it again on the version that is live instead, so that nothing is left out: judged anew.",
    )


class CreateCorrection(Strict):
    """Give rows of a batch other labels or targets, or take them out."""

    rows: dict[Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")], Any] = Field(
        min_length=1,
        max_length=10_000,
        description="Number of the row in the batch, from 0 -> its label, a string; a whole number or a boolean as its "
        "JSON text; where numbers are predicted its target, or a list of several; null takes the row out.",
    )
    reason: Reason = ""


class CancelUpdate(Strict):
    """Stop an update."""

    reason: Reason = ""


class SettleDispute(Strict):
    """Say which is right, the labels or the model."""

    verdict: Literal["confirmed", "refuted"] = Field(description="confirmed: the labels are right; refuted: not.")
    reason: Annotated[Reason, Field(min_length=1)]


class PutAlias(Strict):
    """Point a name at a version."""

    version: int = Field(ge=1)


class Rollback(Strict):
    """Undo the latest promotion that is not yet undone."""

    reason: Reason = ""
    to: int | None = Field(default=None, ge=1, description="Undo until this version is live.")
    if_live: IfLive


class Predict(Strict):
    """Rows to predict. `top` is of models of classes, `level` of models of numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [[0, 3, 7, 1]], "top": 3},
                {"inputs": ["where is my order"]},
                {"inputs": [[0.1, 3, 512.3]], "level": 0.8},
                {"inputs": [{"nights": 3, "city": "Osaka"}]},
            ]
        },
    )

    inputs: Inputs
    top: int = Field(default=1, ge=1, le=1000, description="Best classes to list a row.")
    level: Level | None = Field(
        default=None, description="Share of rows to come whose value an interval is meant to hold; else the model's."
    )
    source: str | None = Field(
        default=None,
        max_length=LONGEST_SOURCE,
        description="Where the rows come from: its own head answers where the version has one, else the shared head.",
    )
