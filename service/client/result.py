"""What became of an update, as people read it: the verdict's sentence, what was gained and what was lost.

The lines are made once (`lines` of its kind of target); a terminal, a notebook and a page draw them as they like.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Self

from service.client.errors import ClientError
from service.client.kinds import kind_of
from service.contract.enums import Expect, UpdateKind, UpdateState, Verdict
from service.contract.reports import AnyReport, batches_apart
from service.contract.resources import Update
from service.contract.targets import KINDS
from service.remedies import Door, worded

MARKS = {Verdict.PROMOTED: "●", Verdict.HELD: "◐", Verdict.REJECTED: "✕", Verdict.SUPERSEDED: "○"}
WAITING = "◌"
"""Stands before an update that has no verdict."""
NOT_LIVE = 'It is not live: "after" is what it would answer.'
"""Stands below the table of a version that nobody is answered by."""


@dataclass(frozen=True, repr=False)
class Result:
    """An update, with what became of it. In a notebook it shows as a report card. `page`: its model's address."""

    update: Update
    page: str

    @property
    def verdict(self) -> Verdict | None:
        """promoted, held, rejected or superseded; None while it runs, and where nothing was left to do."""
        return self.update.verdict

    @property
    def version(self) -> int | None:
        """The number of the version that it made."""
        return self.update.version

    @property
    def batches(self) -> list[str]:
        """The ids of the batches that it learned: `retract` takes them back."""
        return self.update.batches

    @property
    def report(self) -> AnyReport | None:
        """All that was measured."""
        return self.update.report

    @property
    def notes(self) -> list[str]:
        """What was noticed of the rows and of how they were learned, such as that they had been taken back before."""
        report = self.update.report
        return [] if report is None else [*report.notes, *report.batch.notes]

    @property
    def sentence(self) -> str:
        """What happened, with the evidence: "Live: version 2. It knows 8 and 9; ..."."""
        update = self.update
        if update.error is not None:
            return worded(f"{update.error.title}: {update.error.detail}", Door.PYTHON, update.model)
        if update.state is UpdateState.CANCELLED:
            return "Cancelled: nothing was learned."
        if update.state in (UpdateState.QUEUED, UpdateState.RUNNING):
            phase = f", {update.progress.phase}" if update.progress else ""
            return f"{update.id} is {update.state}{phase}."
        return worded(update.sentence or "Nothing was left to do.", Door.PYTHON, update.model)

    @property
    def reason(self) -> str:
        """The sentence without the verdict: "It knows 8 and 9; ..."."""
        sentence = self.sentence
        verdict, colon, rest = sentence.partition(": ")
        if not colon or len(verdict.split()) > 3:
            return sentence
        live = f"version {self.version}. "
        rest = rest.removeprefix(live) if verdict == "Live" else rest
        return rest[:1].upper() + rest[1:]

    def raise_if_rejected(self) -> Self:
        """Itself. Raises Rejected where the gate rejected the version, and NotLearned where there is none since the
        update failed or was cancelled; held is neither: a person decides."""
        if self.verdict is Verdict.REJECTED:
            raise Rejected(self)
        if self.update.state in (UpdateState.FAILED, UpdateState.CANCELLED):
            raise NotLearned(self)
        return self

    @property
    def can_roll_back(self) -> bool:
        """Whether a version that may answer was live before: not before the first one, and not before a retraction."""
        first = self.update.base_version is None
        return self.verdict is Verdict.PROMOTED and self.update.kind is UpdateKind.LEARN and not first

    @property
    def named(self) -> list[str]:
        """Of several batches that were stopped together those that stand out, and those with targets far out."""
        bad = batches_apart(self.update.report) if self.update.report is not None else ()
        return [name for name in self.batches if name in bad]

    @property
    def to_take_back(self) -> list[str]:
        """The batches of an update that was stopped: those that are named, else all."""
        return self.named or self.batches

    @property
    def to_learn(self) -> tuple[str, list[str]]:
        """Of several batches that were stopped, those that are not named, else the first one; and what to call that.
        None of one batch, and where all are named."""
        if self.verdict not in (Verdict.HELD, Verdict.REJECTED) or len(self.batches) < 2:
            return "", []
        if not self.named:
            return "Learn one alone", self.batches[:1]
        return "Learn the others", [batch for batch in self.batches if batch not in self.named]

    @property
    def may_expect(self) -> Expect | None:
        """What to say of the same rows if that is meant which stopped them, as where labels change on purpose; None
        where it was said, or where something else stopped them."""
        report, stopped = self.report, self.verdict in (Verdict.HELD, Verdict.REJECTED)
        if report is None or not stopped or self.update.kind is not UpdateKind.LEARN or self.update.expect is not None:
            return None
        return KINDS[report.kind].expects if report.may_be_meant else None

    @property
    def suspected(self) -> tuple[str, str] | None:
        """Batch and number of the row that is likeliest to have a wrong label or target; None where there is none, and
        where the whole batch is at fault, so that correcting rows mends nothing."""
        report = self.report
        if report is None or self.update.kind is not UpdateKind.LEARN or report.gate.faults_all:
            return None
        batch, row = next((cells[:2] for cells in kind_of(report).suspected(report).cells), ("", ""))
        return (batch, row) if batch else None

    @property
    def next_steps(self) -> dict[str, str]:
        """What can be done now -> the call that does it, or the address where it is done."""
        name, steps = self.update.model, dict[str, str]()
        if self.can_roll_back:
            steps["Undo"] = f'client.model("{name}").rollback("why")'
        elif self.update.kind is UpdateKind.RETRACT:
            steps |= self._undone(f'client.model("{name}")')
        if self.verdict is Verdict.HELD:
            steps["Make it live"] = f'client.model("{name}").promote({self.version}, "why")'
        if self.verdict is Verdict.SUPERSEDED:
            steps["Learn it again"] = f'client.model("{name}").rebase({self.version})'
        if self.update.state in (UpdateState.FAILED, UpdateState.CANCELLED):
            steps["Try it again"] = f'client.retry("{self.update.id}")'
        if (row := self.suspected) is not None:
            steps["Rows that look wrong"] = f'client.model("{name}").suspects("{row[0]}")'
            steps["Correct them"] = f'client.model("{name}").correct("{row[0]}", {{{row[1]}: ...}}, "why")'
        if self.verdict is not None and not self.can_roll_back and self.update.kind is UpdateKind.LEARN:
            called, alone = self.to_learn
            steps |= {called: f'client.model("{name}").update(batches={alone})'} if alone else {}
            if (meant := self.may_expect) is not None:
                steps[meant.on_purpose] = f'client.model("{name}").update(batches={self.batches}, expect="{meant}")'
            steps["Take the rows back"] = f'client.model("{name}").retract({self.to_take_back}, "why")'
            if self.verdict is Verdict.REJECTED:
                steps["Make it live all the same"] = f'client.model("{name}").promote({self.version}, "why")'
        if self.verdict is not None:
            steps["Page"] = self.page
        return steps

    def _undone(self, model: str) -> dict[str, str]:
        """What undoes a retraction or a correction: no rollback does, for what was taken back does not return."""
        made = self.update.corrected
        steps = {"Undo": f'{model}.correct("{made.by}", {{row: before}}, "why")'} if made and made.changed else {}
        if made is None or made.taken_out:
            steps["Send what was taken out again" if steps else "Undo"] = f"{model}.push(rows, labels)"
        return steps

    def __repr__(self) -> str:
        mark = MARKS.get(self.verdict, WAITING) if self.verdict else WAITING
        lines = kind_of(self.report).lines(self.report) if self.report else []
        wide = max((len(line.name) for line in lines), default=0)
        table = [f"    {line.name:<{wide}}  {line.before:>8}  {line.after:>8}   {line.note}".rstrip() for line in lines]
        head = [f"    {'':<{wide}}  {'before':>8}  {'after':>8}"] if lines else []
        aside = [f"    {NOT_LIVE}"] if lines and self.verdict is not Verdict.PROMOTED else []
        steps = [f"  {name}: {step}" for name, step in self.next_steps.items()]
        notes = [f"  {worded(note, Door.PYTHON, self.update.model)}" for note in self.notes]
        return "\n".join([f"{mark} {self.sentence}", *head, *table, *aside, *notes, *steps])

    def _repr_html_(self) -> str:
        mark = MARKS.get(self.verdict, WAITING) if self.verdict else WAITING
        lines = kind_of(self.report).lines(self.report) if self.report else []
        rows = "".join(
            f"<tr><th scope='row'>{escape(line.name)}</th><td>{escape(line.before)}</td><td>{escape(line.after)}</td>"
            f"<td>{escape(line.note)}</td></tr>"
            for line in lines
        )
        head = "<thead><tr><td></td><th scope='col'>before</th><th scope='col'>after</th><td></td></tr></thead>"
        aside = f"<p>{escape(NOT_LIVE)}</p>" if self.verdict is not Verdict.PROMOTED else ""
        table = f"<table>{head}<tbody>{rows}</tbody></table>{aside}" if rows else ""
        steps = "".join(f"<br>{escape(name)}: <code>{escape(step)}</code>" for name, step in self.next_steps.items())
        notes = "".join(f"<p>{escape(worded(note, Door.PYTHON, self.update.model))}</p>" for note in self.notes)
        return f"<div><p>{mark} <strong>{escape(self.sentence)}</strong></p>{table}{notes}<p>{steps[4:]}</p></div>"


class NotLearned(ClientError):
    """The update failed, or somebody cancelled it."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.sentence)
        self.result = result


class Rejected(NotLearned):
    """The gate rejected the version: it is kept and not live."""
