"""`tsuika audit verify` and `tsuika audit list`: who changed what, and whether that record is as it was written."""

from __future__ import annotations

import re
from typing import Annotated, Any

from typer import Option

from service.cli.app import group
from service.cli.exits import DONE, ERROR
from service.cli.options import Json
from service.cli.output import plain, print_json, print_result
from service.cli.upkeep.stored import database
from service.errors import InvalidContent

AT_ONCE = 1000
"""Rows that are read at once."""

app = group("The record of all changes: whether it holds, and what it says.")


@app.command()
def verify(
    head: Annotated[
        str | None, Option(metavar="HASH", help="The last hash of an earlier time, which must still be there.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Compute its hashes anew: is it as it was written?"""
    if head is not None and not re.fullmatch("[0-9a-f]{64}", head):
        raise InvalidContent("--head is a hash of 64 hex digits, as an earlier `tsuika audit verify` printed it.")
    from service.registry.callers import audit

    with database() as opened, opened.looking() as connection:
        verified = audit.verify(connection, head)
    whole = "1 row holds" if verified.rows == 1 else f"{verified.rows} rows hold"
    if verified.broken is not None:
        lines = [
            f"NOT as it was written: {whole}, row {verified.broken} does not.",
            "It, or one before it, was changed, deleted or put in. Compare with a copy of the database.",
        ]
    elif not verified.head_holds:
        lines = [
            f"NOT whole: {whole}, but none has the hash that you kept.",
            "Rows after it were deleted, or the whole was written anew. Compare with a copy of the database.",
        ]
    else:
        lines = [
            f"As it was written: {whole}. Keep the last hash elsewhere, and name it next time:",
            f"tsuika audit verify --head {verified.last_hash}",
        ]
    members = {"holds": verified.holds, "rows": verified.rows, "broken": verified.broken, "head": verified.last_hash}
    print_result("audit.verify", members, lines, as_json)
    return DONE if verified.holds else ERROR


@app.command("list")
def list_changes(
    model: Annotated[str | None, Option(help="Only those of this model.")] = None, as_json: Json = False
) -> int:
    """List the changes, newest first, a line each."""
    from service.registry.callers import audit

    items: list[dict[str, Any]] = []
    with database() as opened, opened.reading() as session:
        cursor: str | None = None
        while True:
            rows, cursor = audit.page(session, AT_ONCE, cursor, model)
            for row in audit.resources_of(rows):
                if as_json:
                    items.append(row.model_dump(mode="json"))
                    continue
                about = " ".join(part for part in (row.model, row.subject) if part)
                request = f" ({row.request_id})" if row.request_id else ""
                reason = f": {row.reason}" if row.reason else ""
                line = f"{row.id} {row.at:%Y-%m-%dT%H:%M:%SZ} {row.by}{request} {row.action} {about}{reason}"
                print(plain(line.rstrip()))
            if cursor is None:
                break
    if as_json:
        print_json("audit", {"items": items})
    return DONE
