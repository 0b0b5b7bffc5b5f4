"""Tables to test with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.contract.tables import TableInput


def table_of(columns: Mapping[str, str | Mapping[str, Any]], **members: Any) -> TableInput:
    """A table of these columns, each by its kind or by all that is declared of it."""
    declared = [{"name": name, **({"kind": of} if isinstance(of, str) else of)} for name, of in columns.items()]
    return TableInput.model_validate({"kind": "table", "columns": declared, **members})
