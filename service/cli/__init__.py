"""The command `tsuika`: reads the command line, then imports the one command that was asked for.

Nothing heavy is imported here: `tsuika --version` answers at once, and `tsuika serve` opens its port before it loads
torch. A command is a module of this package with `run(arguments) -> int`, the exit code.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from service import __version__
from service.cli.exits import ERROR, INTERRUPTED, USAGE
from service.errors import ImpossibleSettings, TsuikaError
from service.storage.permissions import keep_to_ourselves

EPILOG = """Settings are environment variables (TSUIKA_DATA, TSUIKA_KEY, ...); the README lists them.
Exit codes: 0 done, 1 error, 2 wrong usage or settings, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. -> its exit code"""
    arguments = parser().parse_args(argv)
    keep_to_ourselves()
    try:
        code: int = import_module(f"service.cli.{arguments.command}").run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        if not _reader_gone():
            raise
        return ERROR
    except TsuikaError as error:
        print(f"tsuika {arguments.command}: {error}", file=sys.stderr)
        return USAGE if isinstance(error, ImpossibleSettings) else ERROR
    return code


def _reader_gone() -> bool:
    """Whether nobody reads what this command prints, as `head` does after its lines. What is left is then dropped."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="tsuika",
        description="Keeps a deployed model current, of classes or numbers: it learns over HTTP and can be undone.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"tsuika {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, help: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=description)

    serve = command(
        "serve",
        "start the service",
        "Answers predictions and takes batches over HTTP; learns in a process of its own, unless told not to.",
    )
    serve.add_argument("--host", help="address to listen on (TSUIKA_HOST, 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on, 0 for a free one (TSUIKA_PORT, 8000)")
    serve.add_argument("--no-worker", action="store_true", help="do not learn here; run `tsuika work` beside it")
    serve.add_argument("--open", action="store_true", help="listen beyond loopback without a key")

    _keys(command("keys", "make, list and revoke keys", "Keys of callers; a running service knows them at once."))

    work = command("work", "learn, beside a service without worker", "Claims updates and learns them, until stopped.")
    work.add_argument("--metrics-port", type=int, help="answer /metrics there, 0 for a free port (TSUIKA_METRICS_PORT)")

    command(
        "ray",
        "look at the Ray cluster",
        "Says whether updates can learn on the Ray cluster that TSUIKA_RAY names, and what each node lacks for that.",
    )

    demo = command(
        "demo",
        "see it all in a minute",
        "Starts a service with a temporary folder and shows, over HTTP: new classes, a shifted world, and a mistake "
        "taken back.",
    )
    demo.add_argument("--keep", action="store_true", help="leave the service running at the end, to try more")

    command("migrate", "bring the database up to date", "Creates or upgrades the database that the settings name.")

    gc = command("gc", "delete bytes that nothing names", "Deletes stored bytes that no version and no batch names.")
    gc.add_argument("--dry-run", action="store_true", help="only list them")
    gc.add_argument("--cache", action="store_true", help="also empty the cache, to make room on a disk that is full")

    fsck = command(
        "fsck",
        "hash everything that is stored",
        "Hashes everything that the registry names, and says what each damage means and what still answers. Beside a "
        "running service, too.",
    )
    fsck.add_argument("--repair", action="store_true", help="mend what can be mended without guessing")
    fsck.add_argument("--copies", type=Path, metavar="DIR", help="look for whole files in this backup, too")
    fsck.add_argument("--json", action="store_true", help="print one JSON object")

    backup = command(
        "backup",
        "copy everything to a folder",
        "Copies one moment of everything, while services run and learn. A second time copies what is new, and deletes "
        "what the moment before had and this one has not.",
    )
    backup.add_argument("folder", type=Path, metavar="DIR", help="an empty folder, or an earlier backup")

    restore = command(
        "restore",
        "make an installation of a backup",
        "Makes an installation of a backup in the empty place that the settings name, of either database and store.",
    )
    restore.add_argument("folder", type=Path, metavar="DIR", help="the backup")
    restore.add_argument(
        "--old",
        metavar="DATABASE",
        help="file or URL of the database that was backed up: what was erased there since is erased here, too",
    )

    command("methods", "list how it can learn", "Lists the methods: what each does and when it is good.")

    verify = command(
        "verify",
        "recompute a version's certificate",
        "Recomputes the sums of everything that a version learned from the stored rows and compares digests.",
    )
    verify.add_argument("model", metavar="MODEL", help="name of the model")
    verify.add_argument("version", metavar="VERSION", help="number or alias of the version")

    _audit(command("audit", "who changed what", "The record of all changes: whether it holds, and what it says."))
    return top


def _keys(parser: argparse.ArgumentParser) -> None:
    """The words after `tsuika keys`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="print the secret of a new key, and say what it may do")
    create.add_argument("name", metavar="NAME", nargs="?", help="who or what holds it")
    create.add_argument("--scopes", type=_listed, help="what it may do: predict, learn, promote, admin, with commas")
    create.add_argument("--models", type=_listed, help="the models that exist for it, with commas; all, if left out")
    create.add_argument("--days", type=float, help="after so many days it ends")
    create.add_argument("--rate", type=float, help="most requests a second")
    create.add_argument("--replaces", metavar="KEY", help="take the place of this key: what is left out is as there")
    create.add_argument("--overlap-hours", type=float, metavar="HOURS", help="how long that one is still good (24)")
    actions.add_parser("list", help="list the keys, without their secrets")
    revoke = actions.add_parser("revoke", help="let a key open nothing any more")
    revoke.add_argument("key", metavar="KEY", help="its id, key_...")


def _audit(parser: argparse.ArgumentParser) -> None:
    """The words after `tsuika audit`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser("verify", help="compute its hashes anew: is it as it was written?")
    verify.add_argument("--head", metavar="HASH", help="the last hash of an earlier time, which must still be there")
    listing = actions.add_parser("list", help="list the changes, newest first")
    listing.add_argument("--model", help="only those of this model")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
