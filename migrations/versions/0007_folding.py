"""Rows fall into folds with their near-duplicates; those of models that are there go on by their bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("models", recreate="always") as table:
        table.add_column(sa.Column("folding", sa.JSON(none_as_null=True), nullable=True))
