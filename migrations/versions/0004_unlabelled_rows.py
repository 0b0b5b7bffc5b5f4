"""A batch may hold rows without a label."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("batches") as table:
        table.add_column(sa.Column("unlabelled", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("batches") as table:
        table.alter_column("unlabelled", server_default=None)
