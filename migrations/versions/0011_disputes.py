"""Disputes, which stood in reports and events; updates say what their sender expected; batches take others' places."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("updates", recreate="always") as table:
        table.add_column(sa.Column("expect", sa.String(), nullable=True))
        table.add_column(sa.Column("adds", sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table("batches", recreate="always") as table:
        table.add_column(sa.Column("corrects", sa.String(), nullable=True))
        table.create_foreign_key(op.f("fk_batches_corrects"), "batches", ["corrects"], ["id"])
    disputes = op.create_table(
        "disputes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("update_id", sa.String(), nullable=False),
        sa.Column("class", sa.String(), nullable=False),
        sa.Column("suggested", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("settled_by", sa.String(), nullable=True),
        sa.Column("settled_at", sa.Double(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.CheckConstraint("verdict IN ('confirmed', 'refuted')", name=op.f("ck_disputes_verdict")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_disputes_model_id")),
        sa.ForeignKeyConstraint(["update_id"], ["updates.id"], name=op.f("fk_disputes_update_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
    )
    op.create_index(op.f("ix_disputes_model_id_id"), "disputes", ["model_id", "id"])
    _move(disputes)


def _move(disputes: sa.Table) -> None:
    """Makes rows of the disputes in reports of held updates, settled where events say so."""
    connection = op.get_bind()
    held = connection.exec_driver_sql(
        "SELECT updates.id, updates.model_id, updates.by, updates.finished_at, updates.created_at, versions.report "
        "FROM updates JOIN versions ON versions.id = updates.version_id "
        "WHERE updates.verdict = 'held' AND versions.report IS NOT NULL ORDER BY updates.id"
    ).all()
    events = connection.exec_driver_sql(
        "SELECT update_id, at, kind, detail FROM update_events "
        "WHERE kind IN ('dispute confirmed', 'dispute refuted') ORDER BY id"
    ).all()
    ends = {}
    for update_id, at, kind, detail in events:
        facts = json.loads(detail)
        ends[update_id, facts["class"], facts["suggested"]] = kind.removeprefix("dispute "), facts["by_update"], at
    for update_id, model_id, by, finished_at, created_at, report in held:
        for place, each in enumerate(json.loads(report).get("batch", {}).get("disputes", [])):
            end = ends.get((update_id, each["class"], each["suggested"]), (None, None, None))
            connection.execute(
                disputes.insert().values(
                    {
                        "id": f"dsp_{update_id.removeprefix('upd_')}{place:04x}",
                        "model_id": model_id,
                        "update_id": update_id,
                        "class": each["class"],
                        "suggested": each["suggested"],
                        "rows": each["rows"],
                        "source": each.get("source"),
                        "by": by,
                        "opened_at": finished_at or created_at,
                        **dict(zip(("verdict", "settled_by", "settled_at"), end, strict=True)),
                        "reason": "",
                    }
                )
            )
