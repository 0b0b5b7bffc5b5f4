"""Devices: which one an update asked for, where entries and versions were made; what a running training has saved."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("updates", recreate="always") as table:
        table.add_column(sa.Column("device", sa.String(), nullable=True))
        table.add_column(sa.Column("trainings", sa.String(), nullable=True))
    for name, column in (("versions", "trained_on"), ("ledger_entries", "device")):
        with op.batch_alter_table(name, recreate="always") as table:
            table.add_column(sa.Column(column, sa.String(), nullable=True))
