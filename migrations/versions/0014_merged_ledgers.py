"""Merged ledgers: batches whose rows are elsewhere say so, and name the batches behind them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("batches", recreate="always") as table:
        table.add_column(sa.Column("merged", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
        table.add_column(sa.Column("entries", sa.JSON(none_as_null=True), nullable=True))
