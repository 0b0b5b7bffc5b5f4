"""`tsuika promote MODEL@N`: makes a version live by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Option

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.names import VersionName, number_of, version_of
from service.cli.options import Json, Reason, reason_of
from service.cli.output import print_result
from service.learning.wording import counted
from service.remedies import Door, worded

if TYPE_CHECKING:
    from service.contract.version_resources import Deployment


def run(
    name: VersionName,
    reason: Reason = None,
    if_live: Annotated[int | None, Option(metavar="N", help="Only while this version is live.")] = None,
    auto: Annotated[
        bool, Option("--auto", help="Later good versions go live by themselves, as before a rollback.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Makes a version live by hand, one that was held for one, and says which batches it lacks. With --auto the
    version may be left out: the live one stays."""
    named = version_of(name)
    model, number = (named.model, None) if auto and named.version in (None, "live") else number_of(name)
    with connected() as client:
        remote = client.model(model)
        info = remote.info()
        number = info.live_version if number is None else number
        if number is None:
            raise WrongUsage(f"{model} has no live version. Name one by its number, such as {model}@1.")
        stays = auto and number == info.live_version and if_live in (None, number)
        done = None if stays else remote.promote(number, reason_of(reason), if_live=if_live)
        if auto:
            info = remote.configure(promotion="auto")
    members = {"model": model, "version": number, "left_out": []} if done is None else done.model_dump(mode="json")
    lines = _lines(model, number, auto, info.promotion, done)
    print_result("promote", members | {"promotion": info.promotion}, lines, as_json)
    return DONE


def _lines(model: str, number: int, auto: bool, promotion: str, done: Deployment | None) -> list[str]:
    """What is said of a promotion, or, where `done` is None, of later ones alone."""
    later = "New versions go live by themselves once they pass every check."
    if done is None:
        return [f"● {later}", f"  Version {number} stays live."]
    lines = [f"● Live: version {number}."]
    if any(batch not in done.left_out for batch in done.waiting):
        lines.append(f"  {worded(done.note, Door.TERMINAL, model)}")
    elif done.left_out:
        lacks, (waits, them) = done.left_out, ("waits", "it") if len(done.left_out) == 1 else ("wait", "them")
        lines.append(f"  It lacks {counted(len(lacks), 'batch', 'batches')}, which {waits}: {', '.join(lacks)}")
        lines.append(f"  Have {them} learned: tsuika learn {model} {' '.join(lacks)}")
    if auto:
        lines.append(f"  {later}")
    elif promotion == "manual":
        lines.append(f"  New versions wait until you promote them. To let them go live: tsuika promote {model} --auto")
    return [*lines, f"  Undo: tsuika rollback {model}"]
