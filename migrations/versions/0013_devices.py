"""Devices: which one an update asked for, where entries and versions were made; what a running training has saved."""

from service.registry.sql.migrating import TEXT, add, optional

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    add("updates", *optional(TEXT, "device", "trainings"))
    add("versions", *optional(TEXT, "trained_on"))
    add("ledger_entries", *optional(TEXT, "device"))
