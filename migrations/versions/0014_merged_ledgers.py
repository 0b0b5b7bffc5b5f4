"""Merged ledgers: batches whose rows are elsewhere say so, and name the batches behind them."""

from service.registry.sql.migrating import JSON_OR_NONE, LARGE, add, optional

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    add("batches", *optional(LARGE, "merged"), *optional(JSON_OR_NONE, "entries"))
