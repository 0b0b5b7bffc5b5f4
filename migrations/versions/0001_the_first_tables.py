"""The first tables, and the installation's secret that keys the folds."""

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("resource", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("architecture", sa.JSON(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("live_version_id", sa.Integer(), nullable=True),
        sa.Column("method", sa.JSON(), nullable=False),
        sa.Column("gate", sa.JSON(), nullable=False),
        sa.Column("promotion", sa.String(), nullable=False),
        sa.Column("retention", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("archived_at", sa.Double(), nullable=True),
        sa.CheckConstraint("promotion IN ('auto', 'manual')", name=op.f("ck_models_promotion")),
        sa.CheckConstraint("retention IN ('all')", name=op.f("ck_models_retention")),
        sa.ForeignKeyConstraint(
            ["live_version_id"], ["versions.id"], name=op.f("fk_models_live_version_id"), use_alter=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("stored_digest", sa.String(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("label_counts", sa.JSON(), nullable=False),
        sa.Column("folds", sa.JSON(), nullable=False),
        sa.Column("lent", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("rejected_by", sa.String(), nullable=True),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("retracted_at", sa.Double(), nullable=True),
        sa.Column("erased_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_batches_model_id")),
        sa.ForeignKeyConstraint(["rejected_by"], ["updates.id"], name=op.f("fk_batches_rejected_by"), use_alter=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batches_model_id_digest"), ["model_id", "digest"], unique=False)

    op.create_table(
        "updates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("batches", sa.JSON(), nullable=False),
        sa.Column("requested_method", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("method", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("why", sa.String(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("erase", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("base_version_id", sa.Integer(), nullable=True),
        sa.Column("version_id", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("run_after", sa.Double(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("learned_rows", sa.Integer(), nullable=True),
        sa.Column("exam_rows", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint("kind IN ('learn', 'retract')", name=op.f("ck_updates_kind")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name=op.f("ck_updates_state")
        ),
        sa.CheckConstraint(
            "verdict IS NULL OR verdict IN ('promoted', 'held', 'rejected', 'superseded')",
            name=op.f("ck_updates_verdict"),
        ),
        sa.ForeignKeyConstraint(
            ["base_version_id"], ["versions.id"], name=op.f("fk_updates_base_version_id"), use_alter=True
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_updates_model_id")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_updates_version_id"), use_alter=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_updates")),
    )
    with op.batch_alter_table("updates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_updates_model_id_state"), ["model_id", "state"], unique=False)
        batch_op.create_index(batch_op.f("ix_updates_state_run_after"), ["state", "run_after"], unique=False)
        batch_op.create_index(
            "uq_updates_one_running",
            ["model_id"],
            unique=True,
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        )

    op.create_table(
        "ledger_entries",
        sa.Column("batch_id", sa.String(), nullable=False),
        sa.Column("feature_space", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_ledger_entries_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", "feature_space", name=op.f("pk_ledger_entries")),
    )
    op.create_table(
        "update_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("update_id", sa.String(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["update_id"], ["updates.id"], name=op.f("fk_update_events_update_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_update_events")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("update_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_update_events_update_id_id"), ["update_id", "id"], unique=False)

    op.create_table(
        "versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("update_id", sa.String(), nullable=True),
        sa.Column("learned", sa.JSON(), nullable=False),
        sa.Column("layout", sa.JSON(), nullable=False),
        sa.Column("shards", sa.JSON(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("feature_space", sa.String(), nullable=True),
        sa.Column("ledger_digest", sa.String(), nullable=True),
        sa.Column("bits", sa.String(), nullable=True),
        sa.Column("parameters", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("report", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("erased_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_versions_model_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["versions.id"], name=op.f("fk_versions_parent_id")),
        sa.ForeignKeyConstraint(["update_id"], ["updates.id"], name=op.f("fk_versions_update_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_versions")),
        sa.UniqueConstraint("model_id", "number", name=op.f("uq_versions_model_id_number")),
        sa.UniqueConstraint("update_id", name=op.f("uq_versions_update_id")),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("previous_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("undoes", sa.Integer(), nullable=True),
        sa.Column("left_out", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint("kind IN ('promote', 'rollback')", name=op.f("ck_deployments_kind")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_deployments_model_id")),
        sa.ForeignKeyConstraint(["previous_id"], ["versions.id"], name=op.f("fk_deployments_previous_id")),
        sa.ForeignKeyConstraint(["undoes"], ["deployments.id"], name=op.f("fk_deployments_undoes")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_deployments_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sa.UniqueConstraint("undoes", name=op.f("uq_deployments_undoes")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployments_model_id_id"), ["model_id", "id"], unique=False)
    op.bulk_insert(
        sa.table("installation", sa.column("id", sa.Integer), sa.column("secret"), sa.column("created_at", sa.Double)),
        [{"id": 1, "secret": secrets.token_hex(32), "created_at": time.time()}],
    )


def downgrade() -> None:
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployments_model_id_id"))

    op.drop_table("deployments")
    op.drop_table("versions")
    with op.batch_alter_table("update_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_update_events_update_id_id"))

    op.drop_table("update_events")
    op.drop_table("ledger_entries")
    with op.batch_alter_table("updates", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_updates_one_running",
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        )
        batch_op.drop_index(batch_op.f("ix_updates_state_run_after"))
        batch_op.drop_index(batch_op.f("ix_updates_model_id_state"))

    op.drop_table("updates")
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_batches_model_id_digest"))

    op.drop_table("batches")
    op.drop_table("models")
    op.drop_table("installation")
    op.drop_table("idempotency_keys")
