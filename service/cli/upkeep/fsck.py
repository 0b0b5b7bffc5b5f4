"""`tsuika fsck [--repair]`: hashes everything that the registry names, and says what a damage means."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from service.cli.exits import DONE, ERROR
from service.cli.options import Json
from service.cli.output import print_result
from service.cli.progress import progress
from service.cli.upkeep.stored import runtime
from service.errors import NotFound
from service.learning.wording import counted

if TYPE_CHECKING:
    from service.storage.artifacts import Artifacts
    from service.upkeep.fsck import Checked, Damaged, Serving


def run(
    repair: Annotated[bool, Option("--repair", help="Mend what can be mended without guessing.")] = False,
    copies: Annotated[Path | None, Option(metavar="DIR", help="Look for whole files in this backup, too.")] = None,
    as_json: Json = False,
) -> int:
    """Hashes everything that the registry names, and says what each damage means and what still answers.

    Beside a running service, too.
    """
    others = None if copies is None else _copies(copies)
    with runtime() as opened, progress("Hashing") as show:
        from service.upkeep.fsck import fsck

        checked = fsck(opened, repair, others, show)
    print_result("fsck", asdict(checked) | {"whole": checked.whole}, report_lines(checked, repair), as_json)
    return DONE if checked.whole else ERROR


def _copies(folder: Path) -> Artifacts:
    """The store of a backup, or of a copy of a data folder. Raises NotFound."""
    store = folder / "store"
    if not store.is_dir():
        raise NotFound(f"There is no {store}: --copies names a backup, or a copy of a data folder.")
    from service.storage.local import LocalArtifacts

    return LocalArtifacts(store)


def report_lines(checked: Checked, repaired: bool) -> list[str]:
    """The outcome: first each damage, then what each model can serve, then the sum."""
    lines = [*checked.tables]
    if checked.tables and not checked.files:
        return [*lines, "NOT whole. Stored files were not looked at. Restore a backup: tsuika restore."]
    for file in checked.damaged:
        lines += _damage(file)
    lines += [_served(serving) for serving in checked.serving]
    if checked.stale:
        verb = "were deleted" if repaired else "can go: tsuika fsck --repair"
        lines.append(f"{counted(checked.stale, 'file', 'files')} of the cache or of killed writers {verb}.")
    if checked.unnamed:
        lines.append(f"No row names {counted(checked.unnamed, 'file', 'files')}: tsuika gc deletes old ones.")
    size = f"{checked.bytes / 1e6:,.1f} MB"
    looked = f"{counted(checked.files, 'file', 'files')} ({size}), {checked.cached:,} cached, "
    looked += f"{counted(checked.audit_rows, 'row', 'rows')} of the audit"
    mended = sum(file.mended is not None for file in checked.damaged)
    also = f", {mended:,} mended" if mended else ""
    if checked.whole:
        return [*lines, f"Whole{also}. {looked}."]
    lost = len(checked.damaged) - mended
    what = f"{counted(lost, 'file is', 'files are')} damaged" if lost else "every file is, the audit is not"
    lines.append(f"NOT whole: {what}{also}. {looked}.")
    if lost and not repaired:
        lines.append("Try: tsuika fsck --repair, with --copies BACKUP if there is one.")
    elif any(file.mended is None and file.hindrance is None for file in checked.damaged):
        lines.append(
            "No whole copy was at hand. Try --copies with a backup, or an older one; else send lost rows anew."
        )
    return lines


def _damage(file: Damaged) -> list[str]:
    state = "missing" if file.missing else "damaged"
    lines = [f"{state:<8} {file.area}/{file.digest}"]
    for model, use in file.uses.items():
        others = len(use.versions) - 1
        more = f", and of {counted(others, 'other version', 'other versions')}" if others > 0 else ""
        lines.append(f"         {model}: {use.what}{more}. Without it {use.costs}.")
    if file.mended is not None:
        lines.append(f"         mended, from {file.mended}.")
    if file.hindrance is not None:
        lines.append(f"         a whole copy is there, and cannot be written: {file.hindrance}")
    return lines


def _served(serving: Serving) -> str:
    """What a model answers with, and how to go back."""
    broken = ", ".join(map(str, serving.broken[:8])) + (" and others" if len(serving.broken) > 8 else "")
    if serving.live not in serving.broken:
        return f"{serving.model}: version {broken} cannot be served; version {serving.live} is live and whole."
    stays = (
        f"{serving.model}: version {serving.live} is live and cannot be loaded; a service that has it in memory goes on"
    )
    if serving.whole is None:
        return f"{stays}. No other version is whole."
    return f"{stays}. Version {serving.whole} is whole: make it live."
