"""Whatever is asked in whatever order, by whichever key: the service agrees with a small model in memory.

Application, database, store, claims and publication are the real ones; in the place of the process that learns stands
an untrained head. A longer run, by hand: ORDER_EXAMPLES=300 pytest -n 0 --timeout 0 tests/api/test_any_order.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy import update as sql_update

from service.contract.enums import Action, Outcome, Promotion, UpdateKind, UpdateState
from service.contract.reports.class_report import Dispute as Disputed
from service.errors import Conflict, LeaseLost
from service.registry import batches, disputes, leases, models, states
from service.registry.callers import audit
from service.registry.sql.tables import ApiKey, Batch, Deployment, Dispute, Update, Version
from service.runtime import Runtime
from service.settings import Settings
from service.storage.artifacts import model_area
from service.worker.assignment import Result
from service.worker.parent import erasure
from service.worker.parent.assign import assignment
from service.worker.parent.publish import finish_empty, publish
from tests.acceptance import invariants
from tests.api.conftest import Api
from tests.worker.sample_updates import result

EXAMPLES = int(os.environ.get("ORDER_EXAMPLES", "0"))
"""Of the run by hand."""
PATH = "/v1/models/digits"
MOST_QUEUED, MOST_ATTEMPTS = 3, 2
KINDS = 3
SCOPES = [["learn"], ["promote"], ["learn", "promote"], ["predict"]]
OPERATOR = "operator"
ENDED = ("succeeded", "cancelled")
"""States of an update that brings nothing more, unless somebody has it tried again."""
which = st.integers(0, 9)


@dataclass
class ABatch:
    kind: int
    retracted: bool = False
    erased: bool = False
    rejected: bool = False
    corrects: str | None = None
    instead: tuple[str, ...] = ()
    """Which were taken back when it came."""


@dataclass
class AnUpdate:
    kind: str
    batches: list[str]
    adds: list[str]
    erase: bool
    state: str = "queued"
    attempts: int = 0
    version: int | None = None


@dataclass
class AKey:
    secret: str
    scopes: list[str]
    good: bool = True
    after: str | None = None
    """The key whose place it took."""


@dataclass
class Running:
    """A claim: what its worker was told to learn. `learned`: None where nothing is left to do."""

    id: str
    fence: int
    base: int | None
    learned: list[str] | None
    refused: bool = False


@dataclass
class Expected:
    """The model in memory."""

    batches: dict[str, ABatch] = field(default_factory=dict)
    updates: dict[str, AnUpdate] = field(default_factory=dict)
    versions: list[set[str]] = field(default_factory=list)
    erased: set[int] = field(default_factory=set)
    way: list[tuple[int | None, int]] = field(default_factory=list)
    """Promotions that no rollback has undone."""
    deployed: list[tuple[int | None, int]] = field(default_factory=list)
    """Every move of the pointer."""
    live: int | None = None
    manual: bool = False
    keys: dict[str, AKey] = field(default_factory=dict)
    disputes: dict[str, tuple[str, str | None, str | None]] = field(default_factory=dict)
    """Dispute -> the update that opened it, its verdict, and the key that ordered the update."""

    def learned(self) -> set[str]:
        """By the live version."""
        return self.versions[self.live - 1] if self.live is not None else set()

    def state_of(self, batch: str) -> str:
        each = self.batches[batch]
        if each.erased or each.retracted:
            return "erased" if each.erased else "retracted"
        return "learned" if batch in self.learned() else "rejected" if each.rejected else "pending"

    def state_of_dispute(self, dispute: str) -> str:
        opened, verdict, _ = self.disputes[dispute]
        was_live = self.updates[opened].version in {number for _, number in self.deployed}
        taken_back = any(self.batches[batch].retracted for batch in self.updates[opened].batches)
        return verdict or ("settled" if was_live or taken_back else "open")

    def move(self, number: int) -> None:
        self.way.append((self.live, number))
        self.deployed.append((self.live, number))
        self.live = number

    def may_go_live(self, number: int) -> bool:
        clean = not any(self.batches[batch].retracted for batch in self.versions[number - 1])
        return clean and number not in self.erased and number != self.live

    def brought(self, order: AnUpdate) -> bool:
        """Whether what it was to bring is live."""
        return bool(self.learned() & {*order.adds})

    def would_count_twice(self, order: AnUpdate) -> bool:
        """Whether rows that it takes out of what is live came again."""
        restores = order.kind == "retract" and not order.erase and order.state in ("queued", "running")
        live = self.learned() & {*order.batches} if restores else ()
        return any(self.elsewhere(batch) not in (None, *order.adds) for batch in live)

    def must_stay(self, batch: str) -> bool:
        """Whether what was taken back is out of what is live, or another order takes it back."""
        others = (o for o in self.updates.values() if o.kind == "retract" and (o.erase or o.state != "cancelled"))
        return batch not in self.learned() or any(batch in other.batches for other in others)

    def claimable(self) -> bool:
        return any(order.state == "queued" for order in self.updates.values())

    def add(self, name: str, kind: int, corrects: str | None = None) -> None:
        gone = tuple(batch for batch, each in self.batches.items() if each.retracted)
        self.batches.setdefault(name, ABatch(kind, corrects=corrects, instead=gone))

    def in_place_of(self, batch: str) -> str | None:
        """The newest of its corrections that stands."""
        return max((b for b in self.tree(batch) - {batch} if not self.batches[b].retracted), default=None)

    def elsewhere(self, batch: str) -> str | None:
        """Another batch by which its rows count: of its own corrections, or one of two of which the later came while
        the other was taken back."""
        first = batch
        while (before := self.batches[first].corrects) is not None:
            first = before
        for other, each in self.batches.items():
            same = each.kind == self.batches[first].kind and not each.erased
            same = same and (other in self.batches[first].instead or first in each.instead)
            if not self.batches[first].erased and (same or other == first):
                has = self.in_place_of(other) if each.retracted else other
                if has not in (None, batch):
                    return has
        return None

    def first(self, batch: str) -> int:
        """What its rows were before any correction."""
        while (before := self.batches[batch].corrects) is not None:
            batch = before
        return self.batches[batch].kind

    def tree(self, batch: str) -> set[str]:
        """A batch with all that correct it, one another's corrections among them."""
        corrected, more = {batch}, {batch}
        while more:
            more = {b for b, each in self.batches.items() if each.corrects in more} - corrected
            corrected |= more
        return corrected

    def holder(self, key: str | None) -> str | None:
        """The first of the keys that took one another's place up to this one."""
        while key in self.keys and (before := self.keys[key].after) is not None:
            key = before
        return key


class AnyOrder(RuleBasedStateMachine):
    """One model, a few keys, and a worker of which one claim at a time is at work."""

    make: Callable[[], Api]

    def __init__(self) -> None:
        super().__init__()
        self.api = self.make()
        self.runtime = self.api.runtime
        self.expected = Expected(keys={OPERATOR: AKey("secret", ["admin"])})
        made = {"name": "digits", "input": {"kind": "vector", "size": 2}, "classes": ["a", "b"]}
        assert self.call(OPERATOR, "POST", "/v1/models", made).status_code == 201
        self.running: Running | None = None
        self.stale: list[Running] = []

    def call(self, key: str, method: str, path: str, body: Any = None) -> Any:
        """An answer to the holder of a key."""
        headers = {"Authorization": f"Bearer {self.expected.keys[key].secret}"}
        return self.api(method, path, body, headers=headers)

    def allowed(self, key: str, scope: str, method: str, path: str, body: Any = None) -> Any | None:
        """The same where the key may; None where it may not, which the answer says."""
        answer, holder = self.call(key, method, path, body), self.expected.keys[key]
        assert answer.status_code < 500, answer.text
        if not holder.good:
            assert answer.status_code == 401, answer.text
            return None
        if not {scope, "admin"} & set(holder.scopes):
            assert answer.status_code == 403, answer.text
            return None
        assert answer.status_code != 401, answer.text
        return answer

    def some_key(self, number: int) -> str:
        """The operator three times in four, so that things happen."""
        names = list(self.expected.keys)
        return OPERATOR if number % 4 else names[number % len(names)]

    def ordered(self, count: int) -> list[str]:
        """So many updates are new, as the database has them."""
        with self.runtime.database.reading() as session:
            rows = [u for u in session.scalars(select(Update).order_by(Update.id)) if u.id not in self.expected.updates]
        assert len(rows) == count
        for row in rows:
            assert row.state == "queued"
            self.expected.updates[row.id] = AnUpdate(row.kind, row.batches, row.adds or [], row.erase)
        return [row.id for row in rows]

    # what callers do

    @rule(kind=st.integers(0, KINDS - 1), number=which)
    def send(self, kind: int, number: int) -> None:
        rows = {"inputs": [[kind, k] for k in range(4)], "labels": ["a", "b", "a", "b"], "new_classes": "allow"}
        answer = self.allowed(self.some_key(number), "learn", "POST", f"{PATH}/batches", rows)
        if answer is None:
            return
        mine = self.expected
        same = [batch for batch, each in mine.batches.items() if each.kind == kind and not each.erased]
        known = [batch for batch in same if not mine.batches[batch].retracted]
        if not known and any(mine.in_place_of(batch) for batch in same):
            assert answer.status_code == 409, answer.text
            return
        assert (answer.status_code, answer.json().get("id") in known) == ((200, True) if known else (201, False))
        mine.add(answer.json()["id"], kind)

    @precondition(lambda self: self.expected.batches)
    @rule(number=which, named=st.booleans())
    def learn(self, number: int, named: bool) -> None:
        mine = self.expected
        pending = [batch for batch in mine.batches if mine.state_of(batch) == "pending"]
        batch = self.some_batch(number)
        body = {"batches": [batch] if named else "pending"}
        answer = self.allowed(self.some_key(number), "learn", "POST", f"{PATH}/updates", body)
        if answer is None:
            return
        if mine.batches[batch].retracted if named else not pending:
            assert answer.status_code == 409, answer.text
        elif self.waiting() >= MOST_QUEUED:
            assert (answer.status_code, answer.headers["retry-after"].isdigit()) == (429, True), answer.text
        else:
            assert answer.status_code == 202, answer.text
            [order] = self.ordered(1)
            assert mine.updates[order].batches == ([batch] if named else sorted(pending))

    def waiting(self) -> int:
        """How many updates are queued."""
        return sum(order.state == "queued" for order in self.expected.updates.values())

    def some_batch(self, number: int) -> str:
        ids = list(self.expected.batches)
        return ids[number % len(ids)]

    @precondition(lambda self: self.expected.batches)
    @rule(number=which, erase=st.booleans())
    def take_back(self, number: int, erase: bool) -> None:
        batch = self.some_batch(number)
        body = {"batches": [batch], "reason": "wrong", "erase": erase}
        answer = self.allowed(self.some_key(number), "promote", "POST", f"{PATH}/retractions", body)
        if answer is None:
            return
        each = self.expected.batches[batch]
        if each.erased or (each.retracted and not erase):
            assert answer.status_code == 409, answer.text
            return
        assert answer.status_code == 202, answer.text
        each.retracted = True
        self.ordered(1)

    @precondition(lambda self: self.expected.batches)
    @rule(number=which)
    def correct(self, number: int) -> None:
        mine, batch = self.expected, self.some_batch(number)
        corrected = mine.batches[batch].kind // KINDS
        if corrected > 3:
            return  # one row is left
        rows = {str(corrected - 1): None} if corrected else {"0": "b"}
        body = {"rows": rows, "reason": "looked again"}
        answer = self.allowed(self.some_key(number), "promote", "POST", f"{PATH}/batches/{batch}/corrections", body)
        brought = any(batch in order.adds and order.state not in ENDED for order in mine.updates.values())
        if answer is None or mine.batches[batch].retracted or brought:
            assert answer is None or answer.status_code == 409, answer.text
            return
        if self.waiting() >= MOST_QUEUED:
            assert answer.status_code == 429, answer.text
            return
        assert answer.status_code == 202, answer.text
        live = mine.state_of(batch) == "learned"
        order = mine.updates[self.ordered(1)[0]]
        assert order.kind == ("retract" if live else "learn")
        [new] = order.adds if live else order.batches
        mine.add(new, mine.batches[batch].kind + KINDS, corrects=batch)
        mine.batches[batch].retracted = True

    @precondition(lambda self: self.expected.updates)
    @rule(number=which)
    def cancel(self, number: int) -> None:
        name, order, answer = self.asked_of_an_update(number, "cancel")
        if answer is None:
            return
        late = self.expected.brought(order) or self.expected.would_count_twice(order)
        assert answer.status_code == (409 if late else {"queued": 200, "running": 202}.get(order.state, 409)), answer
        if order.state == "queued" and not late:
            self.cancelled(name)

    def asked_of_an_update(self, number: int, what: str) -> tuple[str, AnUpdate, Any | None]:
        """Has it cancelled or tried again. -> its id, what is expected of it, the answer if the key may ask"""
        name = list(self.expected.updates)[-1 - number % len(self.expected.updates)]
        order = self.expected.updates[name]
        scope = "learn" if order.kind == "learn" else "promote"
        return name, order, self.allowed(self.some_key(number), scope, "POST", f"/v1/updates/{name}/{what}")

    def cancelled(self, name: str) -> None:
        """What a retraction took back comes back, unless another one takes it back or it was to be erased. One whose
        rows are live by now is not cancelled."""
        order = self.expected.updates[name]
        if self.expected.brought(order):
            order.state = "queued"
            return
        order.state = "cancelled"
        if order.kind == "retract" and not order.erase:
            self.marked(order)

    def marked(self, order: AnUpdate) -> None:
        """Its batches are taken back, or are not, as all orders together say."""
        mine = self.expected
        naming = [other for other in mine.updates.values() if other.kind == "retract"]
        taken = [batch for o in naming for batch in (o.batches if o.erase or o.state != "cancelled" else o.adds)]
        named = [*order.batches, *order.adds]
        for batch in named:
            if batch in taken:
                mine.batches[batch].retracted = True
        for batch in named:
            if batch not in taken and mine.batches[batch].retracted and mine.elsewhere(batch) is None:
                mine.batches[batch].retracted = False

    @precondition(lambda self: self.expected.updates)
    @rule(number=which)
    def retry(self, number: int) -> None:
        mine = self.expected
        _, order, answer = self.asked_of_an_update(number, "retry")
        if answer is None:
            return
        gone = [batch for batch in order.batches if mine.batches[batch].retracted]
        late = order.adds and order.state == "cancelled" and any(mine.must_stay(batch) for batch in gone)
        if order.state not in ("failed", "cancelled") or late:
            assert answer.status_code == 409, answer.text
        elif order.kind == "learn" and self.waiting() >= MOST_QUEUED:
            assert answer.status_code == 429, answer.text
        else:
            assert answer.status_code == 202, answer.text
            order.state, order.attempts = "queued", 0
            if order.kind == "retract":
                self.marked(order)

    @precondition(lambda self: self.expected.versions)
    @rule(number=which)
    def promote(self, number: int) -> None:
        target = number % len(self.expected.versions) + 1
        answer = self.allowed(self.some_key(number), "promote", "POST", f"{PATH}/deployments", {"version": target})
        if answer is None:
            return
        assert (answer.status_code == 201) == self.expected.may_go_live(target), answer.text
        if answer.status_code == 201:
            self.expected.move(target)

    @rule(number=which, to=st.none() | st.integers(1, 4))
    def roll_back(self, number: int, to: int | None) -> None:
        mine = self.expected
        answer = self.allowed(self.some_key(number), "promote", "POST", f"{PATH}/rollback", {"to": to, "reason": "bad"})
        if answer is None:
            return
        newest_first = [previous for previous, _ in reversed(mine.way)]
        fit = (k for k, number in enumerate(newest_first, 1) if number is not None and mine.may_go_live(number))
        steps = next(fit, 0) if to is None else newest_first.index(to) + 1 if to in newest_first else 0
        target = mine.way[-steps][0] if steps else None
        there = target is not None and mine.may_go_live(target)
        assert (answer.status_code == 200) == there, answer.text
        if there:
            mine.deployed += [(after, before) for before, after in reversed(mine.way[-steps:]) if before is not None]
            del mine.way[-steps:]
            mine.live, mine.manual = target, True

    @precondition(lambda self: self.running is None)
    @rule()
    def archive_and_restore(self) -> None:
        """What waits is cancelled, unless it erases: then the model stays archived until that has ended."""
        mine = self.expected
        waiting = [name for name, order in mine.updates.items() if order.state == "queued"]
        if any(mine.updates[name].erase for name in waiting):
            return
        assert self.call(OPERATOR, "DELETE", PATH).status_code == 204
        for name in waiting:
            self.cancelled(name)
        left = any(mine.updates[name].state == "queued" for name in waiting)
        assert self.call(OPERATOR, "POST", f"{PATH}/restore").status_code == (409 if left else 200)
        if left:  # what they bring was live already: each ends with nothing to do
            while mine.claimable():
                self.claim()
                self.finish(Outcome.PASS, False, False)
            assert self.call(OPERATOR, "POST", f"{PATH}/restore").status_code == 200

    @rule(manual=st.booleans())
    def set_promotion(self, manual: bool) -> None:
        body = {"promotion": "manual" if manual else "auto"}
        assert self.call(OPERATOR, "PATCH", PATH, body).status_code == 200
        self.expected.manual = manual

    @precondition(lambda self: self.expected.disputes)
    @rule(number=which, confirmed=st.booleans())
    def settle(self, number: int, confirmed: bool) -> None:
        mine, verdict = self.expected, "confirmed" if confirmed else "refuted"
        dispute = list(mine.disputes)[number % len(mine.disputes)]
        opened, _, by = mine.disputes[dispute]
        before, key = mine.state_of_dispute(dispute), self.some_key(number)
        path, body = f"{PATH}/disputes/{dispute}/settle", {"verdict": verdict, "reason": "asked"}
        if (answer := self.allowed(key, "promote", "POST", path, body)) is None:
            return
        if answer.status_code == 403:
            senders = {*self.senders(opened), mine.holder(by)}
            assert mine.holder(key) in senders, answer.text
        else:
            assert answer.status_code == (200 if before == "open" else 409), answer.text
            if before == "open":
                mine.disputes[dispute] = (opened, verdict, by)

    def senders(self, update_id: str) -> set[str | None]:
        with self.runtime.database.reading() as session:
            sent = [session.get_one(Batch, batch).by for batch in self.expected.updates[update_id].batches]
        return {self.expected.holder(by) for by in sent}

    @rule(number=which, scopes=st.sampled_from(SCOPES), replaces=st.booleans())
    def make_key(self, number: int, scopes: list[str], replaces: bool) -> None:
        mine, old = self.expected, None
        order: dict[str, Any] = {"name": "a key", "scopes": scopes}
        if replaces and len(mine.keys) > 1:
            old = list(mine.keys)[1 + number % (len(mine.keys) - 1)]
            order |= {"replaces": old, "overlap_hours": 0}
        answer = self.call(OPERATOR, "POST", "/v1/keys", order)
        if old is not None and not mine.keys[old].good:
            assert answer.status_code == 409, answer.text
            return
        made = answer.json()
        mine.keys[made["id"]] = AKey(made["secret"], scopes, after=old)
        if old is not None:
            mine.keys[old].good = False

    @precondition(lambda self: len(self.expected.keys) > 1)
    @rule(number=which, expire=st.booleans())
    def end_key(self, number: int, expire: bool) -> None:
        name = list(self.expected.keys)[1 + number % (len(self.expected.keys) - 1)]
        if expire:
            with self.runtime.database.writing() as session:
                session.execute(sql_update(ApiKey).where(ApiKey.id == name).values(expires_at=1.0))
                audit.record(session, Action.KEY_REPLACED, None, name)  # by it processes know that they have to look
        else:
            assert self.call(OPERATOR, "DELETE", f"/v1/keys/{name}").status_code == 204
        self.expected.keys[name].good = False

    # what the worker does

    @precondition(lambda self: self.running is None)
    @rule()
    def claim(self) -> None:
        mine = self.expected
        with self.runtime.database.writing() as session:
            claimed = leases.claim(session, "w1", 60.0)
        queued = [(order.kind != "retract", name) for name, order in mine.updates.items() if order.state == "queued"]
        retracting = [name for learns, name in queued if not learns]
        assert (claimed.id if claimed else None) == min(retracting or [name for _, name in queued], default=None)
        if claimed is None:
            return
        order = mine.updates[claimed.id]
        order.state, order.attempts = "running", order.attempts + 1
        self.running = Running(claimed.id, claimed.fence, mine.live, self.to_learn(order))
        try:
            with self.runtime.database.reading() as session:
                assigned = assignment(self.runtime, session, claimed)
        except Conflict:
            assert any(mine.batches[batch].retracted for batch in mine.learned())
            self.running.refused = True
            return
        assert (assigned is None) == (self.running.learned is None)

    def to_learn(self, order: AnUpdate) -> list[str] | None:
        """What a version made of this order now knows."""
        mine, learned = self.expected, self.expected.learned()
        if order.kind == "learn":
            new = [b for b in order.batches if b not in learned and not mine.batches[b].retracted]
            return sorted({*learned, *new}) if new else None
        if not learned & set(order.batches):
            return None
        adds = {batch for batch in order.adds if not mine.batches[batch].retracted}
        return sorted(learned - set(order.batches) | adds)

    @precondition(lambda self: self.running is not None)
    @rule(outcome=st.sampled_from(Outcome), blames=st.booleans(), disputed=st.booleans())
    def finish(self, outcome: Outcome, blames: bool, disputed: bool) -> None:
        claim, self.running = self.running, None
        mine, order = self.expected, self.expected.updates[claim.id]
        if claim.refused:
            self.fail_for_good(claim)
        elif claim.learned is None:
            finish_empty(self.runtime, claim.id, claim.fence)
            order.state = "succeeded"
            self.erase(order)
        else:
            self.publish(claim, outcome, blames, disputed)
        self.stale.append(claim)
        assert mine.updates[claim.id] is order

    def publish(self, claim: Running, outcome: Outcome, blames: bool, disputed: bool) -> None:
        mine, order = self.expected, self.expected.updates[claim.id]
        assert claim.learned is not None
        verdict = publish(self.runtime, claim.id, claim.fence, self.result(claim.learned, outcome, blames, disputed))
        taken = order.adds if order.kind == "retract" else claim.learned
        moved = order.kind == "retract" and mine.live != claim.base
        if moved or any(mine.batches[batch].retracted for batch in taken if batch in claim.learned):
            assert verdict is None
            self.handed_back(claim.id)
            return
        kind, live = UpdateKind(order.kind), mine.live == claim.base
        promotion = Promotion.MANUAL if mine.manual else Promotion.AUTO
        assert verdict == states.verdict(kind, outcome, promotion, live)
        mine.versions.append(set(claim.learned))
        order.state, order.version = "succeeded", len(mine.versions)
        for batch in order.batches:
            mine.batches[batch].rejected = verdict == "rejected" and blames
        if verdict == "promoted":
            mine.move(order.version)
        if verdict == "held" and disputed:
            with self.runtime.database.reading() as session:
                row = session.scalars(select(Dispute).where(Dispute.update_id == claim.id)).one()
                mine.disputes[row.id] = (claim.id, None, session.get_one(Update, claim.id).by)
        self.erase(order)

    def result(self, learned: list[str], outcome: Outcome, blames: bool, disputed: bool) -> Result:
        made = result(self.runtime, learned, outcome, blames, len(self.expected.versions), model_area(1))
        if not disputed:
            return made
        dispute = Disputed(class_="a", suggested="b", rows=9, source=None)
        batch = made.report.batch.model_copy(update={"disputes": [dispute]})
        return made.model_copy(update={"report": made.report.model_copy(update={"batch": batch})})

    def erase(self, order: AnUpdate) -> None:
        """What an order to erase leaves, once it has succeeded."""
        if order.erase:
            erasure.finish(self.runtime, 1)
            for batch in order.batches:
                self.expected.batches[batch].erased = True
            gone = set(order.batches)
            self.expected.erased |= {k + 1 for k, learned in enumerate(self.expected.versions) if learned & gone}

    def handed_back(self, name: str) -> None:
        """It is queued again and the attempt does not count, unless somebody asked to cancel."""
        with self.runtime.database.reading() as session:
            asked = session.get_one(Update, name).state == "cancelled"
        if asked:
            self.cancelled(name)
        else:
            order = self.expected.updates[name]
            order.state, order.attempts = "queued", order.attempts - 1

    def fail_for_good(self, claim: Running) -> None:
        with self.runtime.database.writing() as session:
            states.advance(session, leases.owned(session, claim.id, claim.fence), UpdateState.FAILED, "failed")
        self.expected.updates[claim.id].state = "failed"

    @precondition(lambda self: self.running is not None)
    @rule()
    def fail(self) -> None:
        """An error that may pass: it is tried again, and fails at last."""
        claim, self.running = self.running, None
        with self.runtime.database.writing() as session:
            owned = leases.owned(session, claim.id, claim.fence)
            leases.retry_later(session, owned, {"title": "x", "detail": "x"}, MOST_ATTEMPTS, 0.0)
        self.again_or_never(claim.id)

    @precondition(lambda self: self.running is not None)
    @rule()
    def lose(self) -> None:
        """The lease runs out, and its worker lives on."""
        claim, self.running = self.running, None
        with self.runtime.database.writing() as session:
            session.execute(sql_update(Update).where(Update.id == claim.id).values(lease_until=1.0))
            assert leases.rescue(session, MOST_ATTEMPTS) == [claim.id]
        self.stale.append(claim)
        self.again_or_never(claim.id)

    def again_or_never(self, name: str) -> None:
        order = self.expected.updates[name]
        with self.runtime.database.reading() as session:
            cancelled = session.get_one(Update, name).state == "cancelled"
        if cancelled:
            self.cancelled(name)
        else:
            order.state = "failed" if order.attempts >= MOST_ATTEMPTS else "queued"

    @precondition(lambda self: self.stale)
    @rule(number=which)
    def publish_too_late(self, number: int) -> None:
        """A worker that lost its lease publishes nothing."""
        claim = self.stale[number % len(self.stale)]
        with pytest.raises(LeaseLost):
            publish(self.runtime, claim.id, claim.fence, self.result(claim.learned or [], Outcome.PASS, False, False))

    # what must hold

    @invariant()
    def all_is_as_expected(self) -> None:
        mine = self.expected
        with self.runtime.database.reading() as session:
            digits = models.get(session, "digits")
            assert {b.id: batches.state(b) for b in batches.of(session, digits)} == {
                batch: mine.state_of(batch) for batch in mine.batches
            }
            assert {u.id: (u.state, u.attempts) for u in session.scalars(select(Update))} == {
                name: (order.state, order.attempts) for name, order in mine.updates.items()
            }
            made = session.scalars(select(Version).order_by(Version.number)).all()
            assert [set(version.learned) for version in made] == mine.versions
            assert {version.number for version in made if version.erased_at is not None} == mine.erased
            live = models.live(session, digits)
            assert (live.number if live else None, digits.promotion == "manual") == (mine.live, mine.manual)
            numbers = {version.id: version.number for version in made}
            moves = session.scalars(select(Deployment).order_by(Deployment.id))
            assert [(numbers.get(m.previous_id), numbers[m.version_id]) for m in moves] == mine.deployed
            shown = disputes.resources_of(session, digits, session.scalars(select(Dispute)).all())
            assert {each.id: each.state for each in shown} == {d: mine.state_of_dispute(d) for d in mine.disputes}

    @invariant()
    def no_row_counts_twice_or_is_lost(self) -> None:
        """Rows, as they came or corrected, are in a version and among what waits once at most, and not at all only
        where somebody took them back; and of what is taken back and live there is an order that takes it out, or that
        can be tried again."""
        mine = self.expected
        plain = [o for o in mine.updates.values() if o.kind == "retract" and not o.adds]
        for kind in range(KINDS):
            of_kind = {batch for batch in mine.batches if mine.first(batch) == kind}
            assert all(len(learned & of_kind) <= 1 for learned in mine.versions)
            standing = [b for b in of_kind if not mine.batches[b].retracted]
            ordered = any(of_kind & {*o.batches} and (o.erase or o.state != "cancelled") for o in plain)
            assert len(standing) == 1 or (not standing and (ordered or not of_kind)), f"{standing} of {of_kind}"
        for batch in mine.learned():
            naming = [o for o in mine.updates.values() if o.kind == "retract" and batch in o.batches]
            ways = any(o.state in ("queued", "running", "failed") or o.erase for o in naming)
            assert ways or not mine.batches[batch].retracted, f"{batch} is taken back, and nothing takes it out"

    def teardown(self) -> None:
        settings = self.runtime.settings
        self.api.close()
        self.runtime.close()
        invariants.hold_in(settings.database_url, settings.store_url, self.expected.batches)


@pytest.fixture
def make(fresh_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Api]:
    """Makes one application after another, each in a folder and a database of its own."""

    def new() -> Api:
        data = tmp_path_factory.mktemp("data")
        limits = {"queued_updates": MOST_QUEUED, "key": "secret", "child_priority": "normal"}
        return Api(Runtime(Settings(data=data, database_url=fresh_database(data), **limits)))

    return new


def test_whatever_is_asked_in_whatever_order_agrees_with_a_model_in_memory(make: Callable[[], Api]) -> None:
    machine = type("AnyOrderInAService", (AnyOrder,), {"make": staticmethod(make)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 8,
            stateful_step_count=50 if EXAMPLES else 30,
            deadline=None,
            phases=[Phase.generate],
            derandomize=not EXAMPLES,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
