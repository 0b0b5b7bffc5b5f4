"""A model may predict numbers; those that are there predict classes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("models") as table:
        table.add_column(sa.Column("target", sa.JSON(), nullable=False, server_default='{"kind": "class"}'))
    with op.batch_alter_table("models", recreate="always") as table:
        table.alter_column("target", server_default=None)
    with op.batch_alter_table("batches", recreate="always") as table:
        table.add_column(sa.Column("target_summary", sa.JSON(none_as_null=True), nullable=True))
