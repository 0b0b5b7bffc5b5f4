"""The database itself refuses to change or delete rows of the audit."""

from alembic import op

from service.registry.sql.schema import guard_audit

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    guard_audit(op.get_bind())
