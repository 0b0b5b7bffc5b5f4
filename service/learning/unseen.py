"""Classes that came with an imported version: their weights are here, and no row of them. What learns from rows or sums
alone would lose them, and no trusted row would tell."""

from __future__ import annotations

from service.contract.enums import Family
from service.errors import MethodRefused
from service.learning.checkpoint import Checkpoint
from service.learning.method import Data, Method
from service.learning.sentences import listed


def without_rows(base: Checkpoint | None, data: Data) -> list[str]:
    """Classes that came with an import and of which no row is here, those of this update included."""
    if base is None or not base.layout.imported:
        return []
    there = {*data.batch.present(), *(data.kept().present() if data.known_rows else ())}
    return [name for name in base.layout.imported if name in base.classes and name not in there]


def refuse_to_forget(method: Method, base: Checkpoint | None, data: Data) -> None:
    """Raises MethodRefused where a method works from rows and sums alone, and classes of the base have neither."""
    if method.family is not Family.FREEZE and not method.needs & {"kept", "ledger"}:
        return
    if missing := without_rows(base, data):
        raise MethodRefused(
            f"{listed(missing, quote=True)} came with an imported version, and no row of them is here: {method.name} "
            "would lose them. Use lwf, mas or l2_sp, or send rows of every class."
        )
