"""Batches of tables know the values of their categories by name."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("batches", recreate="always") as table:
        table.add_column(sa.Column("values", sa.JSON(none_as_null=True), nullable=True))
