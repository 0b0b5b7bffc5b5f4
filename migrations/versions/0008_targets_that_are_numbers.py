"""A model may predict numbers; those that are there predict classes."""

from service.registry.sql.migrating import JSON, JSON_OR_NONE, add, add_filled, optional

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    add_filled("models", "target", JSON, '{"kind": "class"}')
    add("batches", *optional(JSON_OR_NONE, "target_summary"))
