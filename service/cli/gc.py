"""`tsuika gc`: deletes stored bytes that nothing names."""

from __future__ import annotations

import argparse

from service.cli.exits import DONE
from service.cli.stored import runtime
from service.upkeep.gc import collect


def run(arguments: argparse.Namespace) -> int:
    """Lists what goes, one a line, and deletes it unless it is a dry run."""
    with runtime() as opened:
        collected = collect(opened, dry_run=arguments.dry_run)
    for area, digest in collected.deleted:
        print(f"{area}/{digest}")
    verb = "would go" if arguments.dry_run else "gone"
    print(f"{len(collected.deleted)} {verb}, {collected.kept} old ones are in use.")
    return DONE
