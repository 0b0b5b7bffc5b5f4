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
    sizes = {"history": [100], "batches": [2], "rows": [200], "versions": [2, 3], "models": [2, 3], "classes": [3]}[
        part
    ]
    measured = list(scale.PARTS[part](client, sizes))
    assert [one.size for one in measured] == sizes
    assert all(cost >= 0 for one in measured for cost in one.costs.values())
    if part == "versions":
        assert [v.number for v in client.model(f"scale-{part}-digits").versions()] == [3, 2, 1]
    assert f"{sizes[-1]}" in "\n".join(scale.report(measured))
