"""Versions as the API answers with them: what was made from what, which one answers, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from service.contract.enums import (
    DeploymentKind,
    Promotion,
    Verdict,
)
from service.contract.reports import AnyReport
from service.contract.resources import Resource


class ShardInfo(Resource):
    part: str
    digest: str
    bytes: int
    learned: list[str]


class VersionSummary(Resource):
    """A version without the names of what it learned, which may be thousands."""

    brief: ClassVar = ("model", "number", "live", "method", "classes", "aliases", "created_at")

    number: int
    model: str
    parent: int | None
    update: str | None
    batch_count: int = Field(description="How many batches it learned.")
    method: dict[str, Any] | None
    verdict: Verdict | None = Field(
        default=None, description="What the gate decided when it was made; null where it was imported."
    )
    classes: list[str] = Field(description="Columns, in order.")
    parameters: int
    bytes: int
    feature_space: str | None
    architecture: dict[str, Any]
    report: AnyReport | None
    trained_on: str | None = Field(
        default=None,
        description="Device on which its update ran; null where it was imported, or made before this was kept.",
    )
    live: bool
    aliases: list[str] = Field(default=[], description="Names that people gave it.")
    created_at: datetime
    erased_at: datetime | None


class Version(VersionSummary):
    batches: list[str] = Field(description="What it learned.")
    shards: list[ShardInfo]


class Alias(Resource):
    name: str
    model: str
    version: int
    by: str = Field(description="Who pointed it there.")
    at: datetime


class LineageNode(Resource):
    brief: ClassVar = ("number", "parent", "verdict", "live")

    number: int
    parent: int | None
    update: str | None
    verdict: Verdict | None
    live: bool
    erased: bool
    waits: bool = Field(
        default=False,
        description="It is held, and a person decides whether it goes live: it was made since the live version, and "
        "brings what that has not learned.",
    )
    in_live: bool = Field(
        default=False, description="It is held, and the live version has learned all batches that it brought."
    )
    overtaken: bool = Field(
        default=False,
        description="It is held and brings what the live version has not learned, but that one was made since. After a "
        "rollback behind it, it waits again, unless it learned what was taken back.",
    )


class Lineage(Resource):
    brief: ClassVar = ("model", "live_version", "versions")

    model: str
    live_version: int | None
    versions: list[LineageNode]


class Deployment(Resource):
    brief: ClassVar = ("model", "version", "previous_version", "kind", "reason", "left_out", "waiting", "note")

    id: int
    model: str
    version: int
    previous_version: int | None
    kind: DeploymentKind
    undoes: int | None
    reason: str
    by: str
    at: datetime
    left_out: list[str] = Field(default=[])
    waiting: list[str] = Field(
        default=[],
        description="Of a promotion by hand, when it was ordered: batches that waited and that the version has "
        "not learned, those in `left_out` among them, the oldest first; at most 100.",
    )
    note: str = Field(default="", description="How many these were, and how they are learned; empty where none waited.")


class RolledBack(Resource):
    brief: ClassVar = ("model", "live_version", "previous_version", "promotion", "passed", "left_out")

    model: str
    live_version: int
    previous_version: int
    promotion: Promotion
    deployment: Deployment
    passed: list[int] = Field(
        default=[], description="Versions before it that were passed over: gone, or they learned what was taken back."
    )
    left_out: list[str]


class WayBack(Resource):
    """What a rollback would do now."""

    model: str
    live_version: int | None
    to: int | None = Field(description="The version that would answer; null: there is none to go back to.")
    passed: list[int] = Field(description="Versions before it that are gone, or have learned what was taken back.")
    erased: list[int] = Field(default=[], description="Those of `passed` that were erased on request.")
    removed: list[int] = Field(
        default=[], description="Those of `passed` that are old ones whose parts were deleted (keep_versions)."
    )
    batches: int = Field(
        description="Batches that would wait: the live version has learned them, and that one has not."
    )
    rows: int = Field(description="Their rows.")
