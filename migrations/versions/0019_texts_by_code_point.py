"""PostgreSQL orders texts as SQLite and Python do, whatever the locale of the database."""

from alembic import op

from service.registry.sql.schema import order_by_code_point

revision = "0019"
down_revision = "0018"

TABLES = """installation models versions batches disputes ledger_entries updates update_events deployments aliases
api_keys audit idempotency_keys"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        order_by_code_point(op.get_bind(), TABLES.split())
