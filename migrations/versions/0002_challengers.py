"""An update may challenge the version that another one made."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("updates") as table:
        table.add_column(sa.Column("challenges", sa.String(), nullable=True))
        table.create_foreign_key(op.f("fk_updates_challenges"), "updates", ["challenges"], ["id"])
