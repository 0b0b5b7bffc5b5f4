"""What can be done about a version that was stopped: first what its verdict proposes; to make it live against the gate
comes last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.contract.enums import Outcome, Verdict
from service.contract.reports.facts import WHOLE
from service.contract.resources import Model
from service.contract.version_resources import Version
from service.web.kinds import kind_of
from service.web.reports.verdicts import deciding
from service.web.words import Words

ROWS_AT_FAULT = (*WHOLE, "contradicts_everything")
"""Rules that find the rows at fault, and not what was made of them."""
FIRST = "first_version"
"""The rule that finds nothing learned of the first file, as where another column than the one meant is predicted."""
ONLY_A_PERSON = ("contradicts_class", "disagrees_broadly", "renames", "outliers", "learned_nothing", FIRST)
"""Rules that cannot tell who is right."""
FEW = 3
"""Doubtful rows are some of a batch, and may be corrected one by one, where fewer than one row of so many is."""


@dataclass(frozen=True)
class Step:
    """A sentence on when to do it, the address and the words of its button. `fields`: of a form that is sent there;
    none of a link."""

    when: str
    to: str
    label: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stopped:
    """A version that was stopped. `batches`: those of its update, and whether each can be taken back still; `others`:
    those to learn without any that stands out; `outdated`: another version went live since, and lacks what it has;
    `rows`: of its one batch that have a label or target; `barred`: it learned what was taken back since, and may not go
    live; `refuted`: a dispute over its batches in which the model was found right, or ""; `open_dispute`: the page of
    one that nobody has settled, or ""."""

    model: Model
    version: Version
    verdict: Verdict
    batches: Sequence[tuple[str, bool]]
    others: Sequence[str]
    outdated: bool
    rows: int = 0
    barred: bool = False
    refuted: str = ""
    open_dispute: str = ""

    @property
    def rule(self) -> str:
        """The name of the rule that decided; "" where none fired."""
        rule = deciding(self.version.report)
        return rule.name if rule is not None else ""

    @property
    def ready(self) -> bool:
        """Whether it passed every check."""
        report = self.version.report
        return report is not None and report.gate.outcome is Outcome.PASS


def next_steps(of: Stopped, words: Words) -> list[Step]:
    """In the order of its page. Nothing is proposed that would be refused."""
    at = f"/models/{of.model.name}"
    promote = f"{at}/versions/{of.version.number}/promote"
    rows, again = _rows(of, at, words), _again(of, at, words)
    if of.refuted:
        there = Step("", f"{at}/disputes/{of.refuted}", words("disputes.look"))
        back = [replace(step, when=words("next.refuted")) for step in rows["take"] or [there]]
        return [*back, *rows["correct"], *rows["compare"]]
    live = [] if of.barred else [Step(words(f"next.{_live(of)}"), promote, words("promote.link"))]
    rebase, others = list[Step](), list[Step]()
    if of.outdated:
        live_now = of.model.live_version
        label = words("promote.rebase", live=live_now)
        rebase = [Step(words("promote.moved", live=live_now), promote, label, {"rebase": "on"})]
    if of.others:
        sent = {"batches": " ".join(of.others)}
        others = [Step(words("next.others"), f"{at}/learn", words("batches.learn_others"), sent)]
    first, settle = [*rebase, *others], list[Step]()
    if of.open_dispute:
        settle = [Step(words("next.settle"), of.open_dispute, words("next.do_settle"))]
    if of.ready:
        return [*first, *live, *rows["take"]]
    if of.rule in ROWS_AT_FAULT:
        return [*others, *rows["take"], *(rows["correct"] or rows["compare"]), *settle, *again, *rebase, *live]
    if of.verdict is Verdict.SUPERSEDED:
        return [*first, *rows["take"], *live]
    if of.rule in ONLY_A_PERSON and of.verdict is Verdict.HELD:
        anew = [Step(words("next.other_column"), "/new", words("make.title"))] if of.rule == FIRST else []
        return [*first, *rows["look"], *settle, *anew, *rows["correct"], *again, *live, *rows["take"]]
    more = [Step(words("next.more"), f"{at}/send", words("send.link"))]
    if of.verdict is Verdict.HELD:
        return [*first, *rows["compare"], *settle, *more, *live, *rows["take"]]
    return [*first, *rows["compare"], *settle, *rows["correct"], *more, *again, *rows["take"], *live]


def _live(of: Stopped) -> str:
    if of.ready:
        return "ready"
    return "against" if of.verdict is Verdict.REJECTED else "right"


def _rows(of: Stopped, at: str, words: Words) -> dict[str, list[Step]]:
    """What can be done about the one batch of an update; of several its page has a list."""
    steps: dict[str, list[Step]] = {"take": [], "correct": [], "look": [], "compare": []}
    if len(of.batches) != 1:
        return steps
    batch, there = of.batches[0]
    page = f"{at}/batches/{batch}"
    look, why = words("version.batch", id=batch), "look_first" if of.rule == FIRST else "look"
    steps |= {name: [Step(words(f"next.{key}"), page, look)] for name, key in (("look", why), ("compare", "compare"))}
    if there:
        faulty = "take" if of.rule in ROWS_AT_FAULT else "take_unwanted"
        steps["take"] = [Step(words(f"next.{faulty}"), f"{page}/retract", words("retract.link"))]
        report = of.version.report
        doubtful = 0 if report is None or report.gate.faults_all else kind_of(report).doubtful(report, batch)
        if 0 < FEW * doubtful < of.rows:
            label = words("correct.suspects", n=doubtful)
            steps["correct"] = [Step(words("next.correct"), f"{page}/correct?suspects=on", label)]
    return steps


def _again(of: Stopped, at: str, words: Words) -> list[Step]:
    """Learning its batches again as rows of a world that has changed, where that is what the rules asked."""
    report, expects = of.version.report, of.model.target.expects
    if report is None or not report.may_be_meant:
        return []
    if not of.batches or not all(there for _, there in of.batches):
        return []
    sent = {"batches": " ".join(batch for batch, _ in of.batches), "expect": expects}
    return [Step(words(f"next.expect_{expects}"), f"{at}/learn", words(f"next.do_expect_{expects}"), sent)]
