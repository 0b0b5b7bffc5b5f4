"""The benchmark of scale measures a real service, at its smallest."""

from __future__ import annotations

import pytest

from benchmarks import scale
from service.client import Client


@pytest.mark.parametrize("part", scale.PARTS)
def test_what_grows_with_what_is_measured(part: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "UPDATES", 1)
    monkeypatch.setattr(scale, "UPDATE_ROWS", 40)
    monkeypatch.setattr(scale, "REQUESTS", 2)
    monkeypatch.setattr(scale, "name_of", lambda name: f"scale-{part}-{name}")  # the service has models of others
    sizes = {"history": [100], "batches": [2], "rows": [200], "models": [2, 3], "classes": [3]}[part]
    measured = list(scale.PARTS[part](client, sizes))
    assert [one.size for one in measured] == sizes
    assert all(cost >= 0 for one in measured for cost in one.costs.values())
    assert f"{sizes[-1]}" in "\n".join(scale.report(measured))


@pytest.mark.long
def test_versions_are_made_by_updates_and_looked_at_as_they_become_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "UPDATES", 1)
    monkeypatch.setattr(scale, "REQUESTS", 1)
    monkeypatch.setattr(scale, "LOOKS", 1)
    monkeypatch.setitem(scale.SIZES, "versions", [4, 7])
    measured = list(scale.run(["versions"], None, None, learned=1))
    assert [one.size for one in measured] == [4, 7]
    assert all(cost >= 0 for one in measured for cost in one.costs.values())
    assert "7" in "\n".join(scale.report(measured))
