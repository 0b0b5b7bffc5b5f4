"""A page of a list costs a bounded number of queries, and ends early where it gets long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from service.api import lists
from service.registry import aliases, models
from tests.api.conftest import Api
from tests.registry import facts

MANY = 45
LISTS = ("batches", "updates", "versions", "deployments", "aliases")


@pytest.fixture
def full(api: Api) -> Api:
    """A model with many of everything, and many models."""
    with api.runtime.database.writing() as session:
        digits = models.get(session, "digits")
        for k in range(MANY):
            batch = facts.batch(session, digits).id
            facts.promoted(session, digits, [batch]).report = None
            aliases.put(session, digits, f"alias-{k}", k + 1, "somebody", 1000)
            facts.learn(session, digits, [batch])
        for k in range(MANY):
            facts.model(session, f"model-{k}")
    return api


@contextmanager
def queries(api: Api) -> Iterator[list[str]]:
    """Collects the statements that readers run."""
    seen: list[str] = []
    engine = api.runtime.database.readers

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def pages(api: Api, path: str, limit: int) -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    listed: list[list[dict[str, Any]]] = []
    cursor = ""
    while True:
        page = api.ok("GET", f"{path}?limit={limit}{cursor}")
        listed.append(page["items"])
        if page["next_cursor"] is None:
            return listed
        cursor = f"&cursor={page['next_cursor']}"


def test_a_page_costs_a_few_queries_however_many_items_it_has(full: Api) -> None:
    full.door.context.watcher._poll([])  # it has seen all commits, so it reads nothing meanwhile
    for name in (*LISTS, "models"):
        path = "/v1/models" if name == "models" else f"/v1/models/digits/{name}"
        with queries(full) as seen:
            [items] = pages(full, path, 1000)
        assert len(items) >= MANY, name
        assert len(seen) <= 20, (name, seen)  # four rounds of at most four, and what comes before


def test_an_item_of_a_list_is_what_it_is_alone(full: Api) -> None:
    one = {"batches": "id", "versions": "number", "aliases": "name"}
    for name, key in one.items():
        path = f"/v1/models/digits/{name}"
        item = full.ok("GET", f"{path}?limit=3")["items"][2]
        assert full.ok("GET", f"{path}/{item[key]}") == item
    update = full.ok("GET", "/v1/models/digits/updates?limit=3")["items"][1]
    assert full.ok("GET", f"/v1/updates/{update['id']}") == update
    digits = full.ok("GET", "/v1/models?limit=1000")["items"][-1]
    alone = full.ok("GET", "/v1/models/digits")
    assert {**alone, "gate": {}} == {**digits, "gate": {}}, "of which lists say what is not the default"
    assert digits["gate"] == {}
    assert digits["pending"] == {"batches": MANY - 1, "rows": 4 * (MANY - 1), "stopped": 0, "refuted": 0}
    assert digits["updates"] == {"queued": MANY, "running": 0}
    batch = full.ok("GET", "/v1/models/digits/batches?limit=1")["items"][0]
    assert len(batch["updates"]) == 2


def test_pages_that_end_early_hold_every_item_once(full: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: pages(full, f"/v1/models/digits/{name}", 1000) for name in LISTS}
    for bytes_a_page in (1, 4_000):
        monkeypatch.setattr(lists, "MOST_BYTES", bytes_a_page)
        for name, [items] in whole.items():
            short = pages(full, f"/v1/models/digits/{name}", 1000)
            assert [item for page in short for item in page] == items
            assert len(short) > 1
