"""Rows fall into folds with their near-duplicates; those of models that are there go on by their bytes."""

from service.registry.sql.migrating import JSON_OR_NONE, add, optional

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    add("models", *optional(JSON_OR_NONE, "folding"))
