"""`tsuika keys create`, `list` and `revoke`: keys of callers, made beside the service; it knows them within a poll."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option, echo

from service.cli.app import group
from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_json, print_result
from service.cli.upkeep.stored import database
from service.contract.figures import amount
from service.errors import InvalidContent

if TYPE_CHECKING:
    from service.contract import keys as contract_keys
    from service.contract.keys import CreateKey
    from service.registry.sql.database import Database

AT_ONCE = 1000
"""Keys that are read at once."""
MOST_DAYS = 36500.0

app = group("Keys of callers; a running service knows them at once.")


@app.command()
def create(
    name: Annotated[str | None, Argument(metavar="NAME", help="Who or what holds it.")] = None,
    scopes: Annotated[str | None, Option(help="What it may do: predict, learn, promote, admin, with commas.")] = None,
    models: Annotated[
        str | None, Option(help="The models that exist for it, as wine,team-a-*; all, if left out.")
    ] = None,
    days: Annotated[float | None, Option(help="After so many days it ends.")] = None,
    rate: Annotated[float | None, Option(help="Most requests a second, at least 0.001.")] = None,
    size: Annotated[int | None, Option("--bytes", help="Most bytes of stored batches that it sent.")] = None,
    queued: Annotated[int | None, Option(help="Most updates that it has waiting.")] = None,
    replaces: Annotated[
        str | None, Option(metavar="KEY", help="Take the place of this key: what is left out is as there.")
    ] = None,
    overlap_hours: Annotated[
        float | None, Option(metavar="HOURS", help="How long that one is still good (24).")
    ] = None,
    as_json: Json = False,
) -> int:
    """Print the secret of a new key, and say what it may do."""
    from service.registry.callers.actor import COMMAND_LINE, act_as

    members = {
        "name": name,
        "scopes": _listed(scopes),
        "models": _listed(models),
        "rate": rate,
        "bytes": size,
        "queued": queued,
        "expires_at": _end(days),
        "replaces": replaces,
        "overlap_hours": overlap_hours,
    }
    with database() as opened:
        act_as(COMMAND_LINE)
        _create(opened, _order(members), as_json)
    return DONE


@app.command("list")
def list_keys(as_json: Json = False) -> int:
    """List the keys, without their secrets, newest first."""
    from service.registry.callers import keys
    from service.registry.callers.actor import COMMAND_LINE, act_as

    listed: list[contract_keys.Key] = []
    with database() as opened:
        act_as(COMMAND_LINE)
        with opened.reading() as session:
            cursor: str | None = None
            while True:
                rows, cursor = keys.page(session, AT_ONCE, cursor)
                listed += keys.resources_of(session, rows)
                if cursor is None:
                    break
    items = [key.model_dump(mode="json") for key in listed]
    print_result("keys", {"items": items}, [_line(key) for key in listed], as_json)
    return DONE


@app.command()
def revoke(key: Annotated[str, Argument(metavar="KEY", help="Its id, key_...")], as_json: Json = False) -> int:
    """Let a key open nothing any more."""
    from service.registry.callers import keys
    from service.registry.callers.actor import COMMAND_LINE, act_as

    with database() as opened:
        act_as(COMMAND_LINE)
        with opened.writing() as session:
            keys.revoke(session, record := keys.get(session, key))
            ended = keys.resource(session, record)
    print_result("key", ended.model_dump(mode="json"), [_line(ended)], as_json)
    return DONE


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _end(days: float | None) -> datetime | None:
    if days is not None and not 0 < days <= MOST_DAYS:
        raise InvalidContent(f"--days: More than 0, and at most {MOST_DAYS:g}.")
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def _order(members: dict[str, Any]) -> CreateKey:
    """What the command line asks for. Raises InvalidContent."""
    from pydantic import ValidationError

    from service.contract.keys import CreateKey

    try:
        return CreateKey.model_validate({name: value for name, value in members.items() if value is not None})
    except ValidationError as wrong:
        fault = wrong.errors(include_input=False, include_url=False)[0]
        sentence = fault["msg"].removeprefix("Value error, ")
        raise _at(str(fault["loc"][0]), f"{sentence}.") from None


def _create(opened: Database, order: CreateKey, as_json: bool) -> None:
    """Prints the secret alone on the one stream, and what it is good for on the other."""
    from service.registry.callers import keys
    from service.registry.callers.actor import COMMAND_LINE

    try:
        with opened.writing() as session:
            key, secret = keys.create(session, order, COMMAND_LINE.by)
            made = keys.resource(session, key)
            old = None if key.replaces is None else _line(keys.resource(session, keys.get(session, key.replaces)))
    except InvalidContent as error:
        raise _at(error.errors[0][0].split("/")[1], error.detail) from None
    if as_json:
        print_json("key", {**made.model_dump(mode="json"), "secret": secret})
        return
    print(secret)
    echo(f"{_line(made)}\nIt is shown this once. Send it as: Authorization: Bearer ...", err=True)
    if old is not None:
        echo(f"It replaces {old}", err=True)


def _at(member: str, sentence: str) -> InvalidContent:
    """The refusal of a member of the request, by its name on the command line."""
    option = {"name": "NAME", "expires_at": "--days"}.get(member, f"--{member.replace('_', '-')}")
    return InvalidContent(f"{option}: {sentence}")


def _line(key: contract_keys.Key) -> str:
    """What a key may do, where, and until when."""
    where = "on all models" if key.models is None else f"on {', '.join(key.models)}"
    if key.revoked_at is not None:
        end = f"revoked {key.revoked_at:%Y-%m-%d %H:%M} UTC"
    elif key.expires_at is not None:
        end = f"{'until' if key.good else 'ended'} {key.expires_at:%Y-%m-%d %H:%M} UTC"
    else:
        end = "without end"
    shares = (
        (key.rate, "request", "a second"),
        (key.bytes, "byte", "of batches"),
        (key.queued, "update", "in the queue"),
    )
    own = "".join(f", {amount(n)} {of}{'' if n == 1 else 's'} {rest}" for n, of, rest in shares if n is not None)
    return f"{key.id} {key.prefix}… {key.name!r}: {', '.join(key.scopes)} {where}{own}, {end}"
