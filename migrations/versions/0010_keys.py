"""Keys and the audit; batches and updates know who sent them."""

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import (
    INTEGER,
    JSON,
    JSON_OR_NONE,
    REAL,
    TEXT,
    add,
    add_filled,
    needed,
    optional,
    reference,
)

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", TEXT, primary_key=True),
        *needed(TEXT, "name"),
        sa.Column("prefix", TEXT, nullable=False, unique=True),
        *needed(TEXT, "hash"),
        *needed(JSON, "scopes"),
        *optional(JSON_OR_NONE, "models"),
        *optional(REAL, "rate"),
        reference("replaces", "api_keys", TEXT, optional=True),
        *needed(TEXT, "by"),
        *needed(REAL, "created_at"),
        *optional(REAL, "expires_at", "revoked_at"),
    )
    op.create_index("ix_api_keys_created_at", "api_keys", ["created_at"])
    op.create_table(
        "audit",
        sa.Column("id", INTEGER, primary_key=True),
        *needed(REAL, "at"),
        *needed(TEXT, "by"),
        *optional(TEXT, "request_id"),
        *needed(TEXT, "action"),
        *optional(TEXT, "model", "subject"),
        *needed(TEXT, "reason", "hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_model_id", "audit", ["model", "id"])
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    add("batches", *optional(TEXT, "by"))
    add_filled("batches", "bytes", INTEGER, "0")
    add("updates", *optional(TEXT, "by"))
