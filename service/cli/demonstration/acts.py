"""Three acts about classes: new ones arrive, the world shifts, something goes wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from service.cli.demonstration.data import INPUT, NEW, OLD, Rows, moved_and_darker, renumbered
from service.cli.demonstration.measure import Answers, ask, forgetting
from service.cli.demonstration.teller import Line, Teller, percent, points
from service.client import Client, RemoteModel, ledger_digest
from service.contract.enums import UpdateState, Verdict
from service.contract.resources import Update
from service.errors import TsuikaError

MLP: dict[str, Any] = {"backbone": {"name": "mlp", "hidden": [128]}}
EXACT = "ridge"
BOUND = "retrain"
NAMED: dict[str, Any] = {"name": EXACT, "lift": "conv"}
"""A lift that is not chosen by the rows: then the sums of the same rows have one digest, whatever came between."""


def new_classes(client: Client, teller: Teller, sent: Rows, aside: Rows) -> None:
    """0-4 are known; 5-9 arrive, and the old rows are not looked at again."""
    first, then = sent.of(OLD), sent.of(NEW)
    teller.heading(
        "1  New classes",
        f"Each model has learned {len(first)} rows of 0 to 4. Now {len(then)} rows of 5 to 9 arrive; only {BOUND} "
        f"looks at old rows again. Measured on {len(aside)} rows that no model has learned.",
    )
    lines: list[Line] = []
    for method in ("fine_tune", "l2_sp", "den", "linear_probe", EXACT, BOUND):
        model = _model(client, f"new-classes.{method}", method)
        start = _learn(teller, model, first, _first(method), f"{method}: 0 to 4")
        before = _measured(model, start, aside.of(OLD))
        update = _learn(teller, model, then, method, f"{method}: 5 to 9")
        after = _measured(model, update, aside)
        lines.append(
            Line(
                method,
                before.accuracy,
                after.of(OLD).accuracy,
                after.of(NEW).accuracy,
                after.accuracy,
                forgetting(before, after.of(OLD), OLD),
                after.of(OLD).answered_with(NEW),
                update,
            )
        )
    _close(
        teller,
        lines,
        "In %: old, the classes 0 to 4, before → after; new, 5 to 9; forgets, accuracy lost among the old classes "
        "alone; intrudes, old rows answered with a new class; cost, the share of retraining on all rows, in "
        "multiply-adds (the exact head pays the same however long the history is). added: parameters.",
    )


def shifted_world(client: Client, teller: Teller, sent: Rows, aside: Rows) -> None:
    """Known classes, but the camera has moved by a pixel and the light is poor."""
    first, rest = sent.cut(2 * len(sent) // 3)
    then, aside_then = moved_and_darker(rest), moved_and_darker(aside)
    teller.heading(
        "2  The world shifts",
        f"Each model has learned {len(first)} rows of all ten digits. Now the camera moves by a pixel and the light "
        f"gets poor: {len(then)} rows of the same digits arrive, moved and darker.",
    )
    lines: list[Line] = []
    unprepared: dict[str, float] = {}
    for method in ("fine_tune", "l2_sp", EXACT, BOUND):
        model = _model(client, f"shift.{method}", method)
        start = _learn(teller, model, first, _first(method), f"{method}: the world as it was")
        before = _measured(model, start, aside)
        unprepared[_first(method)] = _measured(model, start, aside_then).accuracy
        update = _learn(teller, model, then, method, f"{method}: the world as it is")
        old, new = _measured(model, update, aside), _measured(model, update, aside_then)
        both = (old.accuracy + new.accuracy) / 2
        lost = forgetting(before, old, sorted({*aside.labels}))
        lines.append(Line(method, before.accuracy, old.accuracy, new.accuracy, both, lost, None, update))
    _close(
        teller,
        lines,
        "old, the world as it was, before → after; new, the world as it is. Unprepared, "
        f"the network gets {percent(unprepared[BOUND])} of the new world right, {EXACT} {percent(unprepared[EXACT])}.",
    )
    free, pulled = lines[0], lines[1]
    strength = pulled.report.method["strength"]
    teller.say(
        f"What constraining buys: of the old world fine_tune loses {points(free.before - free.old)} points, l2_sp "
        f"{points(pulled.before - pulled.old)} at the strength that it searched ({strength:g}); of the new world they "
        f"get {percent(free.new)} and {percent(pulled.new)} right."
    )


def mistakes(client: Client, teller: Teller, sent: Rows, aside: Rows) -> None:
    """Wrong labels, a hand on the wrong button, and a source that wants its rows back."""
    good, rest = sent.cut(250)
    from_customer, slipped = rest.cut(300)
    wrong = renumbered(slipped)
    teller.heading(
        "3  Something went wrong",
        f"One exact model. {len(wrong)} rows arrive whose labels have slipped by one: every 3 says 4, every 4 says 5.",
    )
    model = _model(client, "mistakes", EXACT)
    rows: list[list[str]] = []

    def look(event: str, remark: str) -> None:
        live = model.info().live_version
        assert live is not None
        rows.append([event, str(live), percent(ask(model, live, aside).accuracy), remark])

    _learn(teller, model, good, NAMED, "good rows")
    look(f"{len(good)} good rows", "live")
    customer = _learn(teller, model, from_customer, NAMED, "rows of customer-17", source="customer-17")
    look(f"{len(from_customer)} rows of customer-17", "live")
    bad = _learn(teller, model, wrong, NAMED, "slipped labels")
    look(f"{len(wrong)} rows, labels slipped", str(bad.verdict))
    if bad.version is not None:
        model.promote(bad.version, "I know better")
        look("promoted by hand all the same", "live, by order of a person")
    started = time.perf_counter()
    model.rollback("accuracy fell")
    look("rolled back", f"one call, {1000 * (time.perf_counter() - started):.0f} ms")
    with teller.working("taking customer-17 back") as progress:
        taken = model.retract(customer.batches, "customer-17 asked for it", on_progress=progress)
    look("rows of customer-17 taken back", "as if never sent")
    teller.table(["what happened", "live version", "accuracy", "and so"], rows, left=("what happened", "and so"))
    teller.verdicts([("slipped labels", bad)])
    _certificate(teller, model, taken, never=1)


def _model(client: Client, name: str, method: str) -> RemoteModel:
    """A model for one method: the exact head lifts the input itself, the others train a small network."""
    return client.create_model(name, INPUT, **({} if method == EXACT else {"architecture": MLP}))


def _first(method: str) -> str:
    """The method of the first version: the same network for every gradient method."""
    return EXACT if method == EXACT else BOUND


def _learn(
    teller: Teller, model: RemoteModel, rows: Rows, method: str | dict[str, Any], title: str, source: str | None = None
) -> Update:
    """Sends rows and waits for the version. Raises TsuikaError when none was made."""
    with teller.working(title) as progress:
        update = model.update(
            rows.inputs, rows.labels, new_classes="allow", method=method, source=source, on_progress=progress
        )
    if update.state != UpdateState.SUCCEEDED or update.version is None:
        cause = update.error.detail if update.error else f"it is {update.state}"
        raise TsuikaError(f"{title} made no version: {cause}")
    return update


def _measured(model: RemoteModel, update: Update, rows: Rows) -> Answers:
    assert update.version is not None
    return ask(model, update.version, rows)


def _close(teller: Teller, lines: Sequence[Line], legend: str) -> None:
    """Shows the table, its legend, the verdicts, and which methods went live."""
    teller.results(lines, legend)
    teller.verdicts([(line.name, line.update) for line in lines])
    live = [line.name for line in lines if line.update.verdict == Verdict.PROMOTED]
    stopped = [line.name for line in lines if line.update.verdict != Verdict.PROMOTED]
    teller.say(f"Live: {', '.join(live) or 'none'}. Stopped at the gate: {', '.join(stopped) or 'none'}.")


def _certificate(teller: Teller, model: RemoteModel, taken: Update, never: int) -> None:
    """Recomputes the digest from the exported sums; compares it with the certificate, and with that of version `never`,
    which never saw the rows. Raises TsuikaError when they differ."""
    certificate = taken.report.certificate if taken.report else None
    if certificate is None or taken.version is None:
        raise TsuikaError("The retraction has no certificate.")
    here, before = (ledger_digest(model.ledger(version)) for version in (taken.version, never))
    if not certificate.ledger_digest == here == before:
        raise TsuikaError(f"The certificate says {certificate.ledger_digest}, recomputed: {here} and {before}.")
    teller.say(
        f"Certificate of version {taken.version}: its sums have the digest {here[:16]}...; recomputed here from their "
        f"export: the same. Version {never}, which never saw these rows: the same, bit for bit."
    )
