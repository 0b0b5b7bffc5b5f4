"""`tsuika keys create`, `list` and `revoke`: keys of callers, made beside the service; it knows them within a poll."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from service.cli.exits import DONE
from service.cli.stored import database
from service.contract import keys as contract_keys
from service.contract.keys import CreateKey
from service.errors import InvalidContent
from service.registry.callers import keys
from service.registry.callers.actor import COMMAND_LINE, act_as
from service.registry.sql.database import Database

AT_ONCE = 1000
"""Keys that are read at once."""
MOST_DAYS = 36500.0


def run(arguments: argparse.Namespace) -> int:
    """Does what the word after `keys` says."""
    with database() as opened:
        act_as(COMMAND_LINE)
        if arguments.action == "create":
            _create(opened, _order(arguments))
        elif arguments.action == "revoke":
            with opened.writing() as session:
                keys.revoke(session, key := keys.get(session, arguments.key))
                ended = _line(keys.resource(key))
            print(ended)
        else:
            _list(opened)
    return DONE


def _order(arguments: argparse.Namespace) -> CreateKey:
    """What the command line asks for. Raises InvalidContent."""
    days: float | None = arguments.days
    if days is not None and not 0 < days <= MOST_DAYS:
        raise InvalidContent(f"--days: More than 0, and at most {MOST_DAYS:g}.")
    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
    members = {
        "name": arguments.name,
        "scopes": arguments.scopes,
        "models": arguments.models,
        "rate": arguments.rate,
        "expires_at": ends,
        "replaces": arguments.replaces,
        "overlap_hours": arguments.overlap_hours,
    }
    try:
        return CreateKey.model_validate({name: value for name, value in members.items() if value is not None})
    except ValidationError as wrong:
        fault = wrong.errors(include_input=False, include_url=False)[0]
        raise _at(str(fault["loc"][0]), f"{fault['msg']}.") from None


def _create(opened: Database, order: CreateKey) -> None:
    """Prints the secret alone on the one stream, and what it is good for on the other."""
    try:
        with opened.writing() as session:
            key, secret = keys.create(session, order, COMMAND_LINE.by)
            old = None if key.replaces is None else _line(keys.resource(keys.get(session, key.replaces)))
    except InvalidContent as error:
        raise _at(error.errors[0][0].split("/")[1], error.detail) from None
    print(secret)
    print(f"{_line(keys.resource(key))}\nIt is shown this once. Send it as: Authorization: Bearer ...", file=sys.stderr)
    if old is not None:
        print(f"It replaces {old}", file=sys.stderr)


def _at(member: str, sentence: str) -> InvalidContent:
    """The refusal of a member of the request, by its name on the command line."""
    return InvalidContent(f"{'NAME' if member == 'name' else '--' + member.replace('_', '-')}: {sentence}")


def _list(opened: Database) -> None:
    """Prints all keys, newest first, a line each."""
    with opened.reading() as session:
        cursor: str | None = None
        while True:
            rows, cursor = keys.page(session, AT_ONCE, cursor)
            for key in rows:
                print(_line(keys.resource(key)))
            if cursor is None:
                return


def _line(key: contract_keys.Key) -> str:
    """What a key may do, where, and until when."""
    where = "on all models" if key.models is None else f"on {', '.join(key.models)}"
    if key.revoked_at is not None:
        end = f"revoked {key.revoked_at:%Y-%m-%d %H:%M} UTC"
    elif key.expires_at is not None:
        end = f"{'until' if key.good else 'ended'} {key.expires_at:%Y-%m-%d %H:%M} UTC"
    else:
        end = "without end"
    rate = "" if key.rate is None else f", {key.rate:g} requests a second"
    return f"{key.id} {key.prefix}… {key.name!r}: {', '.join(key.scopes)} {where}{rate}, {end}"
