"""The table of scopes, made from `service.contract.keys`."""

from __future__ import annotations

from service.contract.enums import KeyScope
from service.contract.keys import SCOPES

HEALTH = ("/v2/", "/v2/health/live", "/v2/health/ready")
"""Paths that need no line: health, which is open, and a second spelling of `/v2`."""


def scopes_table() -> str:
    """A row for each call of /v1 and /v2."""
    rows = [
        f"| {method} | `{path}` | {' or '.join(f'`{s}`' for s in KeyScope if s in scopes) or 'any key'} |"
        for path, methods in ((route.replace(":path}", "}"), methods) for route, methods in SCOPES.items())
        if path.startswith(("/v1", "/v2")) and path not in HEALTH
        for method, scopes in methods.items()
    ]
    return "\n".join(["| | call | scope |", "| --- | --- | --- |", *rows, ""])
