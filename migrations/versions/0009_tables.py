"""Batches of tables know the values of their categories by name."""

from service.registry.sql.migrating import JSON_OR_NONE, add, optional

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    add("batches", *optional(JSON_OR_NONE, "values"))
