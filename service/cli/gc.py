"""`tsuika gc`: deletes stored bytes that nothing names."""

from __future__ import annotations

import argparse
import sys

from service.cli.exits import DONE
from service.cli.stored import runtime, settings
from service.settings import Settings
from service.upkeep.gc import collect


def run(arguments: argparse.Namespace) -> int:
    """Lists what goes, one a line, and deletes it unless it is a dry run."""
    if arguments.cache and not arguments.dry_run:
        _empty_cache(settings())
    with runtime() as opened:
        collected = collect(opened, dry_run=arguments.dry_run)
    for area, digest in collected.deleted:
        print(f"{area}/{digest}")
    verb = "would go" if arguments.dry_run else "gone"
    print(f"{len(collected.deleted)} {verb}, {collected.kept} old ones are in use.")
    return DONE


def _empty_cache(known: Settings) -> None:
    """Before anything else: on a disk without a free byte the database could not even be opened."""
    from service.storage.cache import Cache

    freed = Cache(known.data / "cache", known.cache_bytes).empty()
    print(f"The cache is empty: {freed / 1e6:,.1f} MB.", file=sys.stderr)
