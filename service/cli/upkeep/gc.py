"""`tsuika gc`: deletes stored bytes that nothing names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Option, echo

from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_result
from service.cli.upkeep.stored import runtime, settings

if TYPE_CHECKING:
    from service.settings import Settings


def run(
    dry_run: Annotated[bool, Option("--dry-run", help="Only list them.")] = False,
    cache: Annotated[
        bool, Option("--cache", help="Also empty the cache, to make room on a disk that is full.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Deletes stored bytes that no version and no batch names. Lists what goes, one a line."""
    if cache and not dry_run:
        _empty_cache(settings())
    with runtime() as opened:
        from service.upkeep.gc import collect

        collected = collect(opened, dry_run=dry_run)
    files = [f"{area}/{digest}" for area, digest in collected.deleted]
    verb = "would go" if dry_run else "gone"
    lines = [*files, f"{len(files)} {verb}, {collected.kept} old ones are in use."]
    print_result("gc", {"dry_run": dry_run, "files": files, "kept": collected.kept}, lines, as_json)
    return DONE


def _empty_cache(known: Settings) -> None:
    """Before anything else: on a disk without a free byte the database could not even be opened."""
    from service.storage.cache import Cache

    freed = Cache(known.data / "cache", known.cache_bytes).empty()
    echo(f"The cache is empty: {freed / 1e6:,.1f} MB.", err=True)
