"""A model may keep some of its learned rows, or none of them."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

FINAL = ("succeeded", "failed", "cancelled")


def upgrade() -> None:
    with op.batch_alter_table("models") as table:
        table.add_column(sa.Column("memory_rows", sa.Integer(), nullable=False, server_default="500"))
        table.drop_constraint(op.f("ck_models_retention"), type_="check")
        table.create_check_constraint(op.f("ck_models_retention"), "retention IN ('all', 'exemplars', 'none')")
    with op.batch_alter_table("models") as table:
        table.alter_column("memory_rows", server_default=None)
    with op.batch_alter_table("batches") as table:
        table.add_column(sa.Column("kept_rows", sa.Integer(), nullable=True))
        table.add_column(sa.Column("kept_as", sa.String(), nullable=True))
        table.add_column(sa.Column("trusted", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("settled_at", sa.Double(), nullable=True))
        table.add_column(sa.Column("doomed", sa.JSON(none_as_null=True), nullable=True))
        table.create_check_constraint(
            op.f("ck_batches_kept_as"), "kept_as IS NULL OR kept_as IN ('all', 'exemplars', 'none')"
        )
        table.create_index(op.f("ix_batches_model_id_settled_at"), ["model_id", "settled_at"], unique=False)
    _fill(op.get_bind())
    with op.batch_alter_table("batches") as table:
        table.alter_column("kept_rows", existing_type=sa.Integer(), nullable=False)


def _fill(connection: sa.Connection) -> None:
    """Every row is kept so far; a batch is settled when no update that names it is on its way."""
    batches = sa.table(
        "batches", sa.column("id"), sa.column("rows"), sa.column("kept_rows"), sa.column("stored_digest"),
        sa.column("settled_at", sa.Double),
    )  # fmt: skip
    updates = sa.table("updates", sa.column("state"), sa.column("batches", sa.JSON))
    there = sa.case((batches.c.stored_digest.is_not(None), batches.c.rows), else_=0)
    connection.execute(batches.update().values(kept_rows=there))
    named, busy = set[str](), set[str]()
    for state, ids in connection.execute(sa.select(updates.c.state, updates.c.batches)):
        named.update(ids)
        if state not in FINAL:
            busy.update(ids)
    at = time.time()
    for batch_id in sorted(named - busy):
        connection.execute(batches.update().where(batches.c.id == batch_id).values(settled_at=at))
