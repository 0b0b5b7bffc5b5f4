"""Disputes, which stood in reports and events; updates say what their sender expected; batches take others' places."""

import json

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import INTEGER, JSON_OR_NONE, REAL, TEXT, add, needed, optional, reference

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    add("updates", *optional(TEXT, "expect"), *optional(JSON_OR_NONE, "adds"))
    add("batches", reference("corrects", "batches", TEXT, optional=True))
    disputes = op.create_table(
        "disputes",
        sa.Column("id", TEXT, primary_key=True),
        reference("model_id", "models"),
        reference("update_id", "updates", TEXT),
        *needed(TEXT, "class", "suggested"),
        *needed(INTEGER, "rows"),
        *optional(TEXT, "source", "by"),
        *needed(REAL, "opened_at"),
        *optional(TEXT, "verdict", "settled_by"),
        *optional(REAL, "settled_at"),
        *needed(TEXT, "reason"),
        sa.CheckConstraint("verdict IN ('confirmed', 'refuted')", name="verdict"),
    )
    op.create_index("ix_disputes_model_id_id", "disputes", ["model_id", "id"])
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
