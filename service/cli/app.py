"""The verbs of `tsuika` in their groups. A verb is a file of its own, imported when it is asked for.

Nothing heavy is imported here: `tsuika --help` knows the names and a line about each, `tsuika push --help` imports
`people/push.py`, and `tsuika serve` opens its port before it loads torch. The file has `run`, whose parameters are the
options of the verb and which returns the exit code; or `app`, where the verb has words of its own behind it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from service import __version__
from service.cli.exits import ERROR, USAGE, WrongUsage
from service.errors import ImpossibleSettings, TsuikaError
from service.storage.permissions import keep_to_ourselves

VERBS = {
    "First hour": {
        "demo": ("upkeep.demo", "see it all in a minute"),
        "serve": ("upkeep.serve", "start the service"),
        "init": ("people.init", "make a model for a file of rows"),
        "push": ("people.push", "send rows with labels, and see what came of them"),
        "predict": ("people.predict", "ask what rows are"),
        "rollback": ("people.rollback", "let the version before answer again"),
    },
    "Look": {
        "models": ("look.models", "list the models"),
        "versions": ("look.versions", "list the versions of a model"),
        "updates": ("look.updates", "list what was sent to a model, and what came of it"),
        "batches": ("look.batches", "list the batches of a model, to look at or take back"),
        "report": ("look.report", "what a version gained and lost"),
        "compare": ("look.compare", "two versions side by side"),
        "watch": ("look.watch", "what a model does now"),
        "methods": ("look.methods", "list how it can learn"),
        "settings": ("look.settings", "list the settings, and where each comes from"),
        "doctor": ("look.doctor", "find what is wrong, and what to do"),
    },
    "Decide": {
        "promote": ("people.promote", "make a version live by hand"),
        "learn": ("people.learn", "learn all that waits, such as after a rollback"),
        "rebase": ("people.rebase", "learn a version again on the live one"),
        "retry": ("people.retry", "try an update again that failed"),
        "correct": ("people.correct", "give rows of a batch other labels"),
        "retract": ("people.retract", "take a batch back out"),
        "delete-class": ("people.delete_class", "take out a class that no row has"),
        "export": ("people.exporting", "write a version to a file"),
        "import": ("people.importing", "take in a version from a file"),
    },
    "Operate": {
        "work": ("upkeep.work", "learn, beside a service without worker"),
        "keys": ("upkeep.keys", "make, list and revoke keys"),
        "audit": ("upkeep.audit", "who changed what"),
        "verify": ("upkeep.verify", "recompute a version's certificate"),
        "fsck": ("upkeep.fsck", "hash everything that is stored"),
        "gc": ("upkeep.gc", "delete bytes that nothing names"),
        "backup": ("upkeep.backup", "copy everything to a folder"),
        "restore": ("upkeep.restore", "make an installation of a backup"),
        "migrate": ("upkeep.migrate", "bring the database up to date"),
        "ray": ("upkeep.ray", "look at the Ray cluster"),
    },
}
"""Groups of verbs -> each verb's file and a line about it."""
AS_JSON = "tsuika.json"
"""In the context of the command: whether it was asked for JSON."""
EPILOG = "Exit codes: 0 done, 1 error, 2 wrong usage, settings or file, 3 rejected, 4 held, 130 interrupted."


class Verbs(TyperGroup):
    """Knows all verbs by their names, and imports the one that is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        lines = [(name, line) for verbs in VERBS.values() for name, (_, line) in verbs.items()]
        self.commands = {name: TyperCommand(name, help=line) for name, line in lines}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        ctx.meta[AS_JSON] = "--json" in args
        name, known, rest = super().resolve_command(ctx, args)
        return name, None if known is None or name is None else verb_named(name), rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for group, verbs in VERBS.items():
            with formatter.section(group):
                formatter.write_dl([(name, line) for name, (_, line) in verbs.items()])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        formatter.write(f"\n{EPILOG}\n")

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb. Raises Exit with its code; what was refused for a known reason is one line, and with --json
        the problem on stdout, too."""
        keep_to_ourselves()
        refused: TsuikaError | None = None
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            if not _reader_gone():
                raise
            code = ERROR
        except WrongUsage as wrong:
            typer.secho(f"✕ {_shown(wrong)}", err=True, fg="red" if "NO_COLOR" not in os.environ else None)
            code, refused = USAGE, wrong
        except OSError as error:
            if error.filename is None:
                raise
            typer.secho(f"✕ {_shown(error.filename)}: {error.strerror}.", err=True)
            code, refused = USAGE, WrongUsage(f"{error.filename}: {error.strerror}.")
        except TsuikaError as error:
            typer.echo(f"tsuika {ctx.invoked_subcommand}: {_shown(error)}", err=True)
            code, refused = USAGE if isinstance(error, ImpossibleSettings) else ERROR, error
        except Exception as wrong:  # an error of typer, whose class is private
            if ctx.meta.get(AS_JSON) and hasattr(wrong, "format_message"):
                _print_problem(WrongUsage(wrong.format_message()))
            raise
        if refused is not None and ctx.meta.get(AS_JSON):
            _print_problem(refused)
        raise typer.Exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. -> its exit code"""
    try:
        get_command(app).main(arguments, prog_name="tsuika")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ERROR
    raise AssertionError("the command line ends with an exit code")


def group(about: str) -> typer.Typer:
    """A verb that has words of its own behind it."""
    return typer.Typer(help=about, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


def verb_named(name: str) -> Any:
    """The verb, with its options."""
    place = next(verbs[name][0] for verbs in VERBS.values() if name in verbs)
    module = import_module(f"service.cli.{place}")
    if hasattr(module, "app"):
        return get_command(module.app)
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(name, cls=getattr(module, "Command", None))(module.run)
    return get_command(single)


def _shown(sentence: object) -> str:
    """A refusal in lines, without what would move the cursor or colour the terminal: files and services are quoted."""
    from service.contract.names import seen

    return "\n".join(map(seen, str(sentence).split("\n")))


def _print_problem(refused: TsuikaError) -> None:
    """The problem as JSON: that of the service where it refused, with the sentence of the terminal."""
    from service.cli.output import print_json

    problem = getattr(refused.__cause__ or refused, "problem", None)
    members = {"title": refused.title} if problem is None else problem.model_dump(mode="json")
    print_json("problem", {**members, "detail": str(refused)})


def _reader_gone() -> bool:
    """Whether nobody reads what this command prints, as `head` does after its lines. What is left is then dropped."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


app = typer.Typer(
    cls=Verbs, rich_markup_mode=None, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tsuika {__version__}")
        raise typer.Exit


@app.callback()
def tsuika(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Keeps a deployed model current, of classes or numbers: it learns over HTTP and can be undone.

    Settings are environment variables: `tsuika settings` lists them. Verbs of a model talk to the service at TSUIKA_URL
    (http://127.0.0.1:8000) with the key TSUIKA_KEY.
    """
