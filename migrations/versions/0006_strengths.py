"""Strengths of pulls count for what their formula says, ten times as much: those that are stored become a tenth.

A model's method goes on holding weights as it did, and an update that is learned again learns as it did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

PULLED = ("l2_sp", "ewc", "si", "mas")


def upgrade() -> None:
    for name, columns in (("models", ["method"]), ("updates", ["requested_method", "method"])):
        table = sa.table(name, sa.column("id"), *(sa.column(column, sa.JSON(none_as_null=True)) for column in columns))
        for column in columns:
            stored = op.get_bind().execute(sa.select(table.c.id, table.c[column])).all()
            for key, method in stored:
                if method and method.get("name") in PULLED and isinstance(method.get("strength"), int | float):
                    weaker = method | {"strength": method["strength"] / 10}
                    op.execute(sa.update(table).where(table.c.id == key).values({column: weaker}))
