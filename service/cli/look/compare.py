"""`tsuika compare MODEL@A MODEL@B`: two versions side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.text import Text
from typer import Argument, echo

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.files.data_file import DataFile
from service.cli.files.readers import open_file
from service.cli.files.rows import annotations_of, columns_of, inputs_of
from service.cli.names import version_of
from service.cli.options import Dates, Decimal, Delimiter, Encoding, Gaps, Json, LeaveOut, written
from service.cli.output import plain, print_json, print_table, stdout
from service.guessing.csv_files.dialect import SaidDialect

if TYPE_CHECKING:
    from service.client import Client
    from service.client.kinds.kind import Kind
    from service.contract.resources import Model
    from service.contract.version_resources import Version

SAME_ROWS = "Both were judged on the same trusted rows, and what one alone knows on rows of its own."
OTHER_ROWS = (
    "They were judged on different rows, each on those that were trusted when it was made, so these figures do not say "
    "which is better.{ask}"
)
ASK = " Name a FILE to ask both the same rows."
Name = Annotated[str, Argument(metavar="MODEL@VERSION", help="A version: @3, @live, @previous or an alias.")]


def run(
    first: Name,
    second: Name,
    path: Annotated[Path | None, Argument(metavar="FILE", help="Rows to ask both, with or without labels.")] = None,
    leave_out: LeaveOut = None,
    gaps: Gaps = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    dates: Dates = None,
    as_json: Json = False,
) -> int:
    """Puts two versions side by side: how good each was when it was judged, class by class, and what each knows.

    Of a version and the one that it was made from these are figures on the same rows. Else it says that they are not,
    and shows no change.

    Of a file it says first how many rows they answer differently, and how many answers of each are right.
    """
    named = [version_of(first), version_of(second)]
    how = written(delimiter, decimal, encoding, dates)
    with connected() as client:
        versions = [client.model(each.model).version(each.version or "live") for each in named]
        said = None
        if path is not None:
            info = client.model(named[0].model).info()
            said = _asked(client, versions, info, open_file(path, leave_out, gaps, SaidDialect.of(how), info.input))
    on_same = _on_same_rows(versions[0], versions[1])
    rows = _rows(versions[0], versions[1], on_same)
    if as_json:
        lines = [[str(cell) for cell in row] for row in rows]
        items = [version.model_dump(mode="json", by_alias=True) for version in versions]
        print_json("compare", {"versions": items, "rows": lines, "same_rows": on_same is not None, "file": said})
        return DONE
    console = stdout()
    titles = [f"{version.model}@{version.number}" for version in versions]
    if said is not None:
        console.print(plain(said))
    print_table(console, ["", *titles, "change"], rows, " ".join([*titles, "change"]))
    other = OTHER_ROWS.format(ask=ASK if said is None else "")
    console.print(Text(other if on_same is None else SAME_ROWS, "dim"))
    return DONE


def _asked(client: Client, versions: list[Version], info: Model, file: DataFile) -> str:
    """What both answer to the rows of a file. Raises WrongUsage where they are of two models."""
    a, b = versions
    if a.model != b.model:
        raise WrongUsage(f"{a.model} and {b.model} are two models: a file is asked of two versions of one.")
    columns = columns_of(file, info)
    for sentence in columns.sentences:
        echo(plain(sentence), err=True)
    known = None
    if columns.label is not None:
        known = annotations_of(file, columns.label, info.target.measured, columns.dialect)
    asked = client.model(a.model).compare(a.number, b.number, list(inputs_of(file, columns, info.input)), known)
    return asked.sentence


def _on_same_rows(a: Version, b: Version) -> tuple[dict[str, float], dict[str, float]] | None:
    """Figures of both on the same rows: a report has those of the version that its own was made from, too."""
    for before, after in ((a, b), (b, a)):
        if after.report is None or (after.model, after.parent) != (before.model, before.number):
            continue
        if (both := after.report.on_same_rows) is not None:
            return both if after is b else (both[1], both[0])
    return None


def _rows(a: Version, b: Version, on_same: tuple[dict[str, float], dict[str, float]] | None) -> list[list[str | Text]]:
    from service.client.kinds import kind_of

    rows: list[list[str | Text]] = [["live", *("yes" if v.live else "no" for v in (a, b)), ""]]
    rows.append(["method", *((v.method or {}).get("name", "imported") for v in (a, b)), ""])
    rows.append(["batches", *(str(v.batch_count) for v in (a, b)), ""])
    rows.append(["parameters", *(f"{v.parameters:,}" for v in (a, b)), ""])
    scores = on_same or [v.report.figures if v.report is not None else {} for v in (a, b)]
    kinds = {n: kind_of(v.report) for v, of in zip((a, b), scores, strict=True) if v.report is not None for n in of}
    if on_same is None:
        rows.append(["rows that judged", *(v.report.judged_rows if v.report is not None else "–" for v in (a, b)), ""])
    for name, kind in kinds.items():
        rows.append(_compared(name, scores[0].get(name), scores[1].get(name), kind, on_same is not None))
    return rows


def _compared(
    name: str, a: float | None, b: float | None, kind: Kind[Any, Any, Any, Any], same_rows: bool
) -> list[str | Text]:
    """A figure of both. Where they are of different rows, their change is none of the versions."""
    cells: list[str | Text] = [name, *("–" if value is None else kind.written(value) for value in (a, b))]
    if a is None or b is None or not same_rows:
        return [*cells, ""]
    better = kind.falls == (b < a)
    return [*cells, Text(kind.change(a, b), "" if a == b else "green" if better else "red")]
