"""BentoML with adaptive batching, one worker; `bentoml serve benchmarks.servers.bentoml:Network` starts it."""

from __future__ import annotations

import bentoml
import numpy as np
import torch

from benchmarks.servers.network import MOST_ROWS, build


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Network:
    """The service."""

    def __init__(self) -> None:
        self.network = build()

    @bentoml.api(batchable=True, max_batch_size=MOST_ROWS, max_latency_ms=10_000)
    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.network(torch.from_numpy(np.asarray(x, np.float32))).numpy()
