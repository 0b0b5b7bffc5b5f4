"""`tsuika versions MODEL`: how a model came to be what it is."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text

from service.cli.connection import connected
from service.cli.exits import DONE
from service.cli.names import ModelName
from service.cli.options import Json, Most
from service.cli.output import MARKS, print_json, print_table, stdout
from service.cli.verdicts import figure

if TYPE_CHECKING:
    from service.contract.enums import Verdict
    from service.contract.version_resources import VersionSummary

COLUMNS = ("version", "", "verdict", "learned on", "method", "good at", "batches", "made", "names")


def run(model: ModelName, most: Most = 50, as_json: Json = False) -> int:
    """Lists the versions, newest first: which is live, the verdict on each, and how good it was."""
    with connected() as client:
        remote = client.model(model)
        versions = list(islice(remote.versions() if as_json else remote.version_summaries(), most))
        oldest = min((version.number for version in versions), default=1)
        nodes = {node.number: node for node in remote.lineage(oldest - 1).versions}
        verdicts = {number: node.verdict for number, node in nodes.items()}
        settled = {number: "in live" for number, node in nodes.items() if node.in_live}
        settled |= {number: "overtaken" for number, node in nodes.items() if node.overtaken}
    if as_json:
        items = [{**v.model_dump(mode="json", by_alias=True), "verdict": verdicts.get(v.number)} for v in versions]
        print_json("versions", {"items": items})
    else:
        rows = [_row(version, verdicts.get(version.number), settled.get(version.number)) for version in versions]
        print_table(stdout(), COLUMNS, rows, "version batches")
    return DONE


def _row(version: VersionSummary, verdict: Verdict | None, settled: str | None) -> list[str | Text]:
    """settled: why it is held and waits for nobody: what is live has learned all that it brought, or overtook it."""
    gone = "" if version.erased_at is None else "removed" if version.report else "erased"
    state = Text("● live", "green") if version.live else Text(gone, "dim")
    mark, colour = MARKS.get(verdict or "", ("", ""))
    judged = Text(f"{mark} {verdict or '–'}{f', {settled}' if settled else ''}".strip(), "dim" if settled else colour)
    method = (version.method or {}).get("name", "imported")
    parent = "–" if version.parent is None else str(version.parent)
    made, names = f"{version.created_at:%Y-%m-%d %H:%M}", ", ".join(version.aliases)
    good, batches = figure(version.report), str(version.batch_count)
    return [str(version.number), state, judged, parent, method, good, batches, made, names]
