"""Load on an environment: callers who predict, and senders who do not give up until their rows are acknowledged."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.acceptance.environments import Environment
from tests.acceptance.service import FINAL, Caller, blobs
from tests.running import Server

TRY_AGAIN_SECONDS = 0.1
PATIENCE_SECONDS = 120.0
"""How long a sender asks again and again before it calls the service gone."""


class Anywhere:
    """Somebody with a connection to each service, who goes to the next one where one is gone or says "not now"."""

    def __init__(self, services: Sequence[Server]) -> None:
        self._clients = [service.client() for service in services]
        self._turn = random.Random(len(services)).randrange(len(services))
        self.broken = 0
        """Requests that got no answer."""

    def once(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """An answer, or None where there was none; then the next request goes elsewhere."""
        try:
            answer = self._clients[self._turn].request(method, path, **options)
        except httpx.TransportError as error:
            self.broken += not isinstance(error, httpx.ConnectError)
            self.elsewhere()
            return None
        if answer.status_code == 503:
            self.elsewhere()
        return answer

    def elsewhere(self) -> None:
        """From now on, the next service."""
        self._turn = (self._turn + 1) % len(self._clients)

    def until_answered(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Asks until somebody answers without telling it to come back. Raises AssertionError."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            answer = self.once(method, path, **options)
            if answer is not None and "retry-after" not in answer.headers:
                return answer
            time.sleep(TRY_AGAIN_SECONDS)
        raise AssertionError(f"{method} {path} was not answered for {PATIENCE_SECONDS:g} s")

    def close(self) -> None:
        for client in self._clients:
            client.close()


class Predicting(threading.Thread):
    """Predicts, `rate` times a second or as often as it can. Every answer is one of a version, or says "not now"."""

    def __init__(self, environment: Environment, model: str, stop: threading.Event, rate: float | None = None) -> None:
        super().__init__(daemon=True)
        self.anywhere, self._model, self._stop_asking, self._rate = Anywhere(environment.services), model, stop, rate
        self.statuses = Counter[int]()
        self.took: list[tuple[float, float]] = []
        """When each answered request began, and how long it took, in seconds."""
        self.strange: list[str] = []
        """Answers that there should be none of."""

    def run(self) -> None:
        inputs, _ = blobs(99, rows=3)
        due = time.monotonic()
        while not self._stop_asking.is_set():
            if self._rate is not None:
                due = max(due + 1.0 / self._rate, time.monotonic() - 1.0)
                self._stop_asking.wait(due - time.monotonic())
            began = time.monotonic()
            answer = self.anywhere.once("POST", f"/v1/models/{self._model}/predictions", json={"inputs": inputs})
            if answer is None:
                time.sleep(TRY_AGAIN_SECONDS)
                continue
            self.took.append((began, time.monotonic() - began))
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                body = answer.json()
                if len(body["predictions"]) != len(inputs) or answer.headers["Tsuika-Version"] != str(body["version"]):
                    self.strange.append(answer.text)
            elif answer.status_code == 503 and answer.headers["retry-after"].isdigit():
                time.sleep(TRY_AGAIN_SECONDS)
            else:
                self.strange.append(f"{answer.status_code} {answer.text}")
        self.anywhere.close()


@dataclass(frozen=True)
class Sent:
    """What was acknowledged: the update, and its batch."""

    model: str
    update: str
    batch: str
    seed: int


@dataclass(eq=False)
class Sending(threading.Thread):
    """Sends rows with an update, waits for its end, and sends the next; each under its own Idempotency-Key."""

    environment: Environment
    model: str
    stop: threading.Event
    rows: int = 24
    pause: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)
    """Members of each update."""
    sent: list[Sent] = field(default_factory=list)
    failure: str | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.anywhere = Anywhere(self.environment.services)

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                sent = self._send(len(self.sent))
                self.sent.append(sent)
                self._wait_for(sent)
                self.stop.wait(self.pause)
        except AssertionError as error:
            self.failure = str(error)
        self.anywhere.close()

    def body(self, seed: int) -> dict[str, Any]:
        inputs, labels = blobs(seed, rows=self.rows)
        return {"inputs": inputs, "labels": labels, "new_classes": "allow", **self.more}

    def _send(self, seed: int) -> Sent:
        path, key = f"/v1/models/{self.model}/updates", {"Idempotency-Key": f"{self.model} {seed}"}
        answer = self.anywhere.until_answered("POST", path, json=self.body(seed), headers=key)
        assert answer.status_code in (200, 202), f"{answer.status_code} {answer.text}"
        update = answer.json()
        [batch] = update["batches"]
        return Sent(self.model, update["id"], batch, seed)

    def _wait_for(self, sent: Sent) -> None:
        while not self.stop.is_set():
            answer = self.anywhere.until_answered("GET", f"/v1/updates/{sent.update}")
            assert answer.status_code == 200, f"an acknowledged update is gone: {answer.text}"
            if answer.json()["state"] in FINAL:
                return
            time.sleep(TRY_AGAIN_SECONDS)


def ended(environment: Environment, sent: Sequence[Sent]) -> list[dict[str, Any]]:
    """The updates of all that was acknowledged, once they have ended."""
    with Caller(environment.services[0]) as caller:
        return [caller.end(each.update, PATIENCE_SECONDS) for each in sent]
