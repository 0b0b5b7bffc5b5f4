"""`tsuika audit verify` and `tsuika audit list`: who changed what, and whether that record is as it was written."""

from __future__ import annotations

import argparse
import re

from service.cli.exits import DONE, ERROR
from service.cli.stored import database
from service.errors import InvalidContent
from service.registry.callers import audit

AT_ONCE = 1000
"""Rows that are read at once."""


def run(arguments: argparse.Namespace) -> int:
    """Does what the word after `audit` says."""
    return _verify(arguments.head) if arguments.action == "verify" else _list(arguments.model)


def _verify(head: str | None) -> int:
    """Computes every hash anew, and says which row is the first that does not hold."""
    if head is not None and not re.fullmatch("[0-9a-f]{64}", head):
        raise InvalidContent("--head is a hash of 64 hex digits, as an earlier `tsuika audit verify` printed it.")
    with database() as opened, opened.looking() as connection:
        verified = audit.verify(connection, head)
    if verified.broken is not None:
        print(f"NOT as it was written: {verified.rows} rows hold, row {verified.broken} does not.")
        print("It, or one before it, was changed, deleted or put in. Compare with a copy of the database.")
    elif not verified.head_holds:
        print(f"NOT whole: {verified.rows} rows hold, but none has the hash that you kept.")
        print("Rows after it were deleted, or the whole was written anew. Compare with a copy of the database.")
    else:
        print(f"As it was written: {verified.rows} rows hold. Keep the last hash elsewhere, and name it next time:")
        print(f"tsuika audit verify --head {verified.last_hash}")
    return DONE if verified.holds else ERROR


def _list(model: str | None) -> int:
    """Prints the rows, newest first, a line each."""
    with database() as opened, opened.reading() as session:
        cursor: str | None = None
        while True:
            rows, cursor = audit.page(session, AT_ONCE, cursor, model)
            for row in audit.resources_of(rows):
                about = " ".join(part for part in (row.model, row.subject) if part)
                request = f" ({row.request_id})" if row.request_id else ""
                reason = f": {row.reason}" if row.reason else ""
                line = f"{row.id} {row.at:%Y-%m-%dT%H:%M:%SZ} {row.by}{request} {row.action} {about}{reason}"
                print(line.rstrip().encode("unicode_escape").decode() if not line.isprintable() else line.rstrip())
            if cursor is None:
                return DONE
