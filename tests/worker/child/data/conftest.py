"""What updates read of their batches."""

from __future__ import annotations

import pytest

from service.learning.data.rows import FeatureRows
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.feature_space import Space
from service.worker.child.data.model_store import ModelStore


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The batches whose entries are read, in that order."""
    batches, adds = list[str](), ModelStore.adds

    def reading(model_store: ModelStore, batch: str, space: Space) -> FeatureRows | SummedEntry:
        batches.append(batch)
        return adds(model_store, batch, space)

    monkeypatch.setattr(ModelStore, "adds", reading)
    return batches
