"""The table of limits, made from `service.api.limits.table`."""

from __future__ import annotations

from service.api.limits.table import limits_of
from service.contract.body_limits import Limit
from service.settings import Settings


def limits_table() -> str:
    """The rows of the page, from the table of limits."""
    head = ["| limit | default | what it bounds | beyond it | setting |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *map(_line, limits_of(Settings())), ""])


def _line(limit: Limit) -> str:
    status = "" if limit.status is None else f"{limit.status}: "
    setting = f"`{limit.setting}`" if limit.setting is not None else ""
    if limit.fixed is not None:
        setting = f"{setting}, to lower it: {limit.fixed}" if setting else f"fixed: {limit.fixed}"
    unit = limit.unit.removesuffix("s") if limit.value == 1 else limit.unit
    default = "none" if limit.value is None else f"{limit.value:,.15g} {unit}"
    return f"| {limit.name} | {default} | {limit.bounds} | {status}{limit.beyond} | {setting} |"
