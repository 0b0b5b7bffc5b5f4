"""What became of an update, as people read it: the verdict's sentence, what was gained and what was lost.

The lines are made once (`lines_of`); a terminal, a notebook and a page draw them as they like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import NamedTuple, Self

from service.client.errors import ClientError
from service.contract import figures
from service.contract.enums import UpdateKind, UpdateState, Verdict
from service.contract.number_report import AnyReport, NumberReport, batches_apart
from service.contract.report import Report
from service.contract.resources import Update

MARKS = {Verdict.PROMOTED: "●", Verdict.HELD: "◐", Verdict.REJECTED: "✕", Verdict.SUPERSEDED: "○"}
WAITING = "◌"
"""Stands before an update that has no verdict."""
NOT_LIVE = 'It is not live: "after" is what it would answer.'
"""Stands below the table of a version that nobody is answered by."""
EXPECT = re.compile(r'"expect": "(\w+)"')
"""What a body says, and a call says otherwise."""
MOST_NUMBERS = 10
"""Of more numbers a row these are listed."""


class Line(NamedTuple):
    """A line of a report card. Shares are in per cent, errors in the targets' own unit; "–" where nothing is known."""

    name: str
    before: str
    after: str
    note: str = ""


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
            return f"{update.error.title}: {update.error.detail}"
        if update.state is UpdateState.CANCELLED:
            return "Cancelled: nothing was learned."
        if update.state in (UpdateState.QUEUED, UpdateState.RUNNING):
            phase = f", {update.progress.phase}" if update.progress else ""
            return f"{update.id} is {update.state}{phase}."
        return EXPECT.sub(r'expect="\1"', update.sentence or "Nothing was left to do.")

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
    def next_steps(self) -> dict[str, str]:
        """What can be done now -> the call that does it, or the address where it is done."""
        name, steps = self.update.model, dict[str, str]()
        if self.can_roll_back:
            steps["Undo"] = f'client.model("{name}").rollback("why")'
        if self.verdict is Verdict.HELD:
            steps["Make it live"] = f'client.model("{name}").promote({self.version}, "why")'
        if self.verdict is Verdict.SUPERSEDED:
            steps["Learn it again"] = f'client.model("{name}").rebase({self.version})'
        if self.update.state in (UpdateState.FAILED, UpdateState.CANCELLED):
            steps["Try it again"] = f'client.retry("{self.update.id}")'
        if self.verdict is not None and not self.can_roll_back and self.update.kind is UpdateKind.LEARN:
            called, alone = self.to_learn
            steps |= {called: f'client.model("{name}").update(batches={alone})'} if alone else {}
            steps["Take the rows back"] = f'client.model("{name}").retract({self.to_take_back}, "why")'
        if self.verdict is not None:
            steps["Page"] = self.page
        return steps

    def __repr__(self) -> str:
        mark = MARKS.get(self.verdict, WAITING) if self.verdict else WAITING
        lines = lines_of(self.report) if self.report else []
        wide = max((len(line.name) for line in lines), default=0)
        table = [f"    {line.name:<{wide}}  {line.before:>8}  {line.after:>8}   {line.note}".rstrip() for line in lines]
        head = [f"    {'':<{wide}}  {'before':>8}  {'after':>8}"] if lines else []
        aside = [f"    {NOT_LIVE}"] if lines and self.verdict is not Verdict.PROMOTED else []
        steps = [f"  {name}: {step}" for name, step in self.next_steps.items()]
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([f"{mark} {self.sentence}", *head, *table, *aside, *notes, *steps])

    def _repr_html_(self) -> str:
        mark = MARKS.get(self.verdict, WAITING) if self.verdict else WAITING
        lines = lines_of(self.report) if self.report else []
        rows = "".join(
            f"<tr><th scope='row'>{escape(line.name)}</th><td>{escape(line.before)}</td><td>{escape(line.after)}</td>"
            f"<td>{escape(line.note)}</td></tr>"
            for line in lines
        )
        head = "<thead><tr><td></td><th scope='col'>before</th><th scope='col'>after</th><td></td></tr></thead>"
        aside = f"<p>{escape(NOT_LIVE)}</p>" if self.verdict is not Verdict.PROMOTED else ""
        table = f"<table>{head}<tbody>{rows}</tbody></table>{aside}" if rows else ""
        steps = "".join(f"<br>{escape(name)}: <code>{escape(step)}</code>" for name, step in self.next_steps.items())
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<div><p>{mark} <strong>{escape(self.sentence)}</strong></p>{table}{notes}<p>{steps[4:]}</p></div>"


def lines_of(report: AnyReport) -> list[Line]:
    """The lines of a report card: old and new classes, or the errors of numbers; before and after. Before and after are
    of the same trusted rows; a note says so of a line that is of others."""
    return _of_numbers(report) if isinstance(report, NumberReport) else _of_classes(report)


def _of_classes(report: Report) -> list[Line]:
    old, new = report.old_classes, report.new_classes
    lines = []
    if old.before is not None:
        lines.append(
            Line("old classes", percent(old.before), percent(old.after), _change(old.before, old.after, old.interval))
        )
    if new.names:
        within = f"{points(new.interval[0])} to {points(new.interval[1])}" if new.interval else ""
        lines.append(Line("new classes", "–", percent(new.after), within))
    if report.tested is not None:
        note = f"on {_rows(report.tested.rows)} of the batch, answered before any version had learned them"
        lines.append(Line("new rows", percent(report.tested.accuracy), "–", note))
    return lines


def _of_numbers(report: NumberReport) -> list[Line]:
    before, after, tested = report.before, report.after, report.tested
    lines = []
    if tested is not None:
        last = "the last batch" if tested.batches == 1 else f"the last {tested.batches:,} batches"
        note = f"on {_rows(tested.rows)} of {last}, answered before any version had learned them"
        lines += [
            Line(f"new rows, {number.name}", amount(number.mae), "–", note) for number in tested.numbers[:MOST_NUMBERS]
        ] or [Line("mean error, new rows", amount(tested.mae), "–", note)]
        if tested.coverage is not None:
            lines.append(Line("within their interval", percent(tested.coverage), "–", "of these new rows"))
    if tested is not None and report.skill is not None:
        plain = "" if report.yardstick_mae is None else f", which is off by {amount(report.yardstick_mae)}"
        lines.append(Line("skill", percent(report.skill), "–", f"less error than the model's yardstick{plain}"))
    if after is not None:
        whose = "trusted rows" if before is not None else "rows of its own that it had not seen"
        on_rows = f"on {after.rows:,} {whose}"
        was = {number.name: number.mae for number in before.numbers} if before is not None else {}
        lines += [
            Line(f"mean error, {number.name}", amount(was.get(number.name)), amount(number.mae), on_rows)
            for number in after.numbers[:MOST_NUMBERS]
        ] or [
            Line("mean error", amount(before.mae if before else None), amount(after.mae), on_rows),
            Line("root mean square error", amount(before.rmse if before else None), amount(after.rmse), on_rows),
        ]
    return lines


def _rows(count: int) -> str:
    return f"{count:,} row{'s'[: count != 1]}"


def _change(before: float, after: float | None, interval: tuple[float, float] | None) -> str:
    """ "−0.2, within chance"."""
    if after is None or interval is None:
        return ""
    low, high = interval
    chance = ", within chance" if low <= 0 <= high else ""
    change = 100 * (after - before)
    sign = "+" if round(change, 1) > 0 else "−" if round(change, 1) < 0 else ""
    return f"{sign}{abs(change):.1f}{chance}"


def percent(share: float | None) -> str:
    """0.974 -> "97.4 %"; a dash where it is not known."""
    return "–" if share is None else figures.percent(share)


def points(share: float) -> str:
    """0.974 -> "97.4"."""
    return f"{100 * share:.1f}".replace("-", "−")


def amount(value: float | None) -> str:
    """1190.4 -> "1,190", 15.43 -> "15.4"; a dash where it is not known."""
    return "–" if value is None else figures.amount(value)


class NotLearned(ClientError):
    """The update failed, or somebody cancelled it."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.sentence)
        self.result = result


class Rejected(NotLearned):
    """The gate rejected the version: it is kept and not live."""
