"""Updates say what their sender expected."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("updates", recreate="always") as table:
        table.add_column(sa.Column("expect", sa.String(), nullable=True))
