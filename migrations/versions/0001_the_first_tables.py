"""The first tables, and the installation's secret that keys the folds."""

import secrets
import time

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import (
    BOOLEAN,
    INTEGER,
    JSON,
    JSON_OR_NONE,
    REAL,
    TEXT,
    needed,
    optional,
    reference,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        *needed(TEXT, "caller", "key", "method", "path", "body_hash"),
        *needed(INTEGER, "status"),
        *needed(JSON, "resource"),
        *needed(REAL, "created_at"),
        sa.PrimaryKeyConstraint("caller", "key"),
    )
    installation = op.create_table(
        "installation",
        sa.Column("id", INTEGER, primary_key=True),
        *needed(TEXT, "secret"),
        *needed(REAL, "created_at"),
    )
    op.create_table(
        "models",
        sa.Column("id", INTEGER, primary_key=True),
        sa.Column("name", TEXT, nullable=False, unique=True),
        *needed(JSON, "input", "architecture", "classes"),
        reference("live_version_id", "versions", optional=True),
        *needed(JSON, "method", "gate"),
        *needed(TEXT, "promotion", "retention"),
        *needed(REAL, "created_at"),
        *optional(REAL, "archived_at"),
        sa.CheckConstraint("promotion IN ('auto', 'manual')", name="promotion"),
        sa.CheckConstraint("retention IN ('all')", name="retention"),
    )
    op.create_table(
        "batches",
        sa.Column("id", TEXT, primary_key=True),
        reference("model_id", "models"),
        *needed(TEXT, "digest"),
        *optional(TEXT, "stored_digest"),
        *needed(INTEGER, "rows"),
        *needed(JSON, "label_counts", "folds", "lent"),
        *optional(TEXT, "source"),
        reference("rejected_by", "updates", TEXT, optional=True),
        *needed(REAL, "received_at"),
        *optional(REAL, "retracted_at", "erased_at"),
    )
    op.create_index("ix_batches_model_id_digest", "batches", ["model_id", "digest"])
    op.create_table(
        "updates",
        sa.Column("id", TEXT, primary_key=True),
        reference("model_id", "models"),
        *needed(TEXT, "kind"),
        *needed(JSON, "batches"),
        *optional(JSON_OR_NONE, "requested_method", "method"),
        *optional(TEXT, "why"),
        *needed(INTEGER, "seed"),
        *optional(TEXT, "reason"),
        *needed(BOOLEAN, "erase"),
        *needed(TEXT, "state"),
        *optional(TEXT, "verdict"),
        reference("base_version_id", "versions", optional=True),
        reference("version_id", "versions", optional=True),
        *needed(INTEGER, "attempts", "fence"),
        *optional(TEXT, "worker"),
        *optional(REAL, "lease_until"),
        *needed(REAL, "run_after"),
        *needed(BOOLEAN, "cancel_requested"),
        *optional(JSON_OR_NONE, "progress", "error"),
        *optional(INTEGER, "learned_rows", "exam_rows"),
        *needed(REAL, "created_at"),
        *optional(REAL, "started_at", "finished_at"),
        sa.CheckConstraint("kind IN ('learn', 'retract')", name="kind"),
        sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        sa.CheckConstraint(
            "verdict IS NULL OR verdict IN ('promoted', 'held', 'rejected', 'superseded')", name="verdict"
        ),
    )
    op.create_index("ix_updates_model_id_state", "updates", ["model_id", "state"])
    op.create_index("ix_updates_state_run_after", "updates", ["state", "run_after"])
    running = sa.text("state = 'running'")
    op.create_index(
        "uq_updates_one_running", "updates", ["model_id"], unique=True, sqlite_where=running, postgresql_where=running
    )
    op.create_table(
        "ledger_entries",
        reference("batch_id", "batches", TEXT),
        *needed(TEXT, "feature_space", "digest"),
        *needed(INTEGER, "rows"),
        sa.PrimaryKeyConstraint("batch_id", "feature_space"),
    )
    op.create_table(
        "update_events",
        sa.Column("id", INTEGER, primary_key=True),
        reference("update_id", "updates", TEXT),
        *needed(REAL, "at"),
        *needed(TEXT, "kind"),
        *needed(JSON, "detail"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_update_events_update_id_id", "update_events", ["update_id", "id"])
    op.create_table(
        "versions",
        sa.Column("id", INTEGER, primary_key=True),
        reference("model_id", "models"),
        *needed(INTEGER, "number"),
        reference("parent_id", "versions", optional=True),
        reference("update_id", "updates", TEXT, optional=True),
        *needed(JSON, "learned", "layout", "shards", "classes"),
        *optional(TEXT, "feature_space", "ledger_digest", "bits"),
        *needed(INTEGER, "parameters", "bytes"),
        *optional(JSON_OR_NONE, "report"),
        *needed(REAL, "created_at"),
        *optional(REAL, "erased_at"),
        sa.UniqueConstraint("model_id", "number"),
        sa.UniqueConstraint("update_id"),
    )
    op.create_table(
        "deployments",
        sa.Column("id", INTEGER, primary_key=True),
        reference("model_id", "models"),
        reference("version_id", "versions"),
        reference("previous_id", "versions", optional=True),
        *needed(TEXT, "kind"),
        reference("undoes", "deployments", optional=True),
        *needed(JSON, "left_out"),
        *needed(TEXT, "reason", "by"),
        *needed(REAL, "at"),
        sa.CheckConstraint("kind IN ('promote', 'rollback')", name="kind"),
        sa.UniqueConstraint("undoes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deployments_model_id_id", "deployments", ["model_id", "id"])
    op.bulk_insert(installation, [{"id": 1, "secret": secrets.token_hex(32), "created_at": time.time()}])
