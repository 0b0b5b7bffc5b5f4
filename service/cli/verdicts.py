"""An update's outcome on a terminal: its sentence, what was measured before and after, and what to do next."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text

from service.cli.connection import in_options, url
from service.cli.exits import DONE, ERROR, HELD, REJECTED
from service.cli.output import MARKS, plain, print_json, print_table, stderr, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from service.cli.files.data_file import DataFile
    from service.client.result import Result
    from service.contract.reports import AnyReport
    from service.contract.resources import Update

CODES = {"promoted": DONE, "held": HELD, "rejected": REJECTED, "superseded": HELD}
"""Exit codes of the verdicts."""
SUSPECTS = 5
"""Rows of a file that look wrong and are listed with their lines."""


def print_update(schema: str, update: Update, as_json: bool, file: DataFile | None = None, said: str = "") -> int:
    """Prints what became of an update that has ended; of rows of a `file` that look wrong, their lines; no note that
    was `said` before it was sent. -> the exit code"""
    if as_json:
        print_json(schema, update.model_dump(mode="json", by_alias=True))
    elif update.verdict is not None:
        _print_verdict(update, file, said)
    elif update.state == "succeeded":
        stdout().print(plain(sentence_of(update)))
        if update.kind == "retract" and not update.erase:
            again = f"  If its rows are still wanted, mend the file and send it: tsuika push {update.model} FILE"
            stdout().print(Text(again, style="dim"))
    else:
        stderr().print(Text(f"✕ {plain(sentence_of(update))}", style="red"))
        stderr().print(Text(f"  Try it again: tsuika retry {update.id}", style="dim"))
    if update.verdict is not None:
        return CODES[update.verdict]
    return DONE if update.state == "succeeded" else ERROR


def result_of(update: Update) -> Result:
    """The update as people read it, with the address of its model's page."""
    from service.client.result import Result

    return Result(update, f"{url()}/models/{update.model}")


def sentence_of(update: Update) -> str:
    """What became of the update, with options of the terminal in it."""
    return in_options(result_of(update).sentence)


def marked(verdict: str, sentence: str) -> Text:
    """A sentence with the mark of its verdict, whose first words have its colour."""
    mark, colour = MARKS[verdict]
    head, colon, rest = plain(sentence).partition(":")
    return Text.assemble((f"{mark} {head}{colon}", colour), rest)


def print_measured(console: Console, report: AnyReport | None, indent: str = "", live: bool = True) -> None:
    """What was measured before and after, a line each; of a version that is not `live`, that nobody got it so."""
    from service.client.kinds import kind_of
    from service.client.result import NOT_LIVE

    if report is not None and (lines := kind_of(report).lines(report)):
        rows = [[indent + line.name, *line[1:]] for line in lines]
        print_table(console, ["", "before", "after", ""], rows, "before after")
        if not live:
            console.print(Text(f"{indent}{NOT_LIVE}", "dim"))


def figure(report: AnyReport | None) -> str:
    """How good a version was when it was judged, in a figure; a dash where it was not."""
    from service.client.kinds import kind_of

    return "–" if report is None else kind_of(report).figure(report)


def _print_verdict(update: Update, file: DataFile | None, said: str) -> None:
    console = stdout()
    assert update.verdict is not None
    result = result_of(update)
    console.print(marked(update.verdict, sentence_of(update)))
    print_measured(console, update.report, "  ", live=update.verdict == "promoted")
    for line in filter(lambda note: note != said, result.notes):
        console.print(Text(f"  {in_options(plain(line), update.model)}", style="dim"))
    name = f"{update.model}@{update.version}"
    if update.report is not None and not update.report.gate.faults_all:
        _print_suspected(console, update, update.report, file)
    ways = [f"Report: tsuika report {name}"]
    if result.can_roll_back:
        ways.insert(0, f"Undo: tsuika rollback {update.model}")
    elif update.kind == "retract":
        ways.insert(0, _undone(update))
    elif update.verdict == "held":
        ready = update.report is not None and update.report.gate.outcome == "pass"
        ways.insert(0, f"Make it live{'' if ready else ' all the same'}: tsuika promote {name}")
        if ready:
            ways.insert(1, "with --auto later good ones go live by themselves")
    elif update.verdict == "superseded":
        ways.insert(0, f"Learn it again on what is live: tsuika rebase {name}")
    if not result.can_roll_back and update.kind == "learn" and update.batches:
        called, alone = result.to_learn
        ways += [f"{called}: tsuika learn {update.model} {' '.join(alone)}"] if alone else []
        if (meant := result.may_expect) is not None:
            again = f"tsuika learn {update.model} {' '.join(update.batches)} --expect {meant}"
            ways.append(f"{meant.on_purpose}: {again}")
        ways.append(f"Take the rows back: tsuika retract {update.model} {' '.join(result.to_take_back)}")
    if update.kind == "learn" and update.verdict == "rejected":
        ways.append(f"Make it live all the same: tsuika promote {name}")
    if update.kind == "retract" and update.report is not None and update.report.exact:
        proof = f"tsuika verify {update.model} {update.version}"
        ways.append(f"Proof, in the folder of the service or with its TSUIKA_DATA: {proof}")
    ways.append(f"Page: {result.page}")
    console.print(Text("  " + "   ".join(ways), style="dim"))


def _undone(update: Update) -> str:
    """What undoes a retraction or a correction: no rollback does, for what was taken back does not return."""
    if (made := update.corrected) is None:
        return f"Undo: send the rows again, tsuika push {update.model} FILE"
    if not made.changed:
        return f"Undo: send what was taken out again, tsuika push {update.model} FILE"
    out = "; what was taken out is sent again" if made.taken_out else ""
    return f"Undo: tsuika correct {update.model} {made.by} --row N=BEFORE{out}"


def _print_suspected(console: Console, update: Update, report: AnyReport, file: DataFile | None) -> None:
    """Rows of an update that look wrong, a few of them: by their numbers and, of one batch that was a file, by their
    lines in it; of several batches by these, too."""
    from service.client.kinds import kind_of

    suspected = kind_of(report).suspected(report)
    if not suspected.cells:
        return
    shown, columns, numbers = suspected.cells[:SUSPECTS], list(suspected.columns), suspected.numbers
    batches = {batch for batch, *_ in suspected.cells}
    if len(batches) == 1:
        shown, columns = [cells[1:] for cells in shown], columns[1:]
        if file is not None and file.unit != "row" and file.is_unchanged:  # else nobody knows where they stood
            last = max(int(row) for row, *_ in shown)
            places = [str(record.place) for record in islice(file.records(), last + 1)]
            shown = [[row, places[int(row)], *cells] for row, *cells in shown]
            columns.insert(1, file.unit)
            numbers += f" {file.unit}"
    console.print(f"  {suspected.heading}")
    rows = [[f"  {first}", *cells] for first, *cells in shown]
    print_table(console, [f"  {columns[0]}", *columns[1:]], rows, numbers)
    named = batches.pop() if len(batches) == 1 else "BATCH"
    ways = [f"Correct them: tsuika correct {update.model} {named} --suspects"]
    if more := len(suspected.cells) - len(shown):
        ways.insert(0, f"{more:,} more: tsuika report {update.model}@{update.version} --all")
    console.print(Text(f"  {'   '.join(ways)}", style="dim"))
