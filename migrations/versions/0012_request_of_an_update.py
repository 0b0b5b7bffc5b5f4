"""Updates know the request that ordered them, and the span within which it was."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("updates", recreate="always") as table:
        table.add_column(sa.Column("request_id", sa.String(), nullable=True))
        table.add_column(sa.Column("traceparent", sa.String(), nullable=True))
