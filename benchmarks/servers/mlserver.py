"""MLServer with a runtime of its own, unbatched (its fastest way here), one process, asked by the JSON of /v2."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.servers.network import PORT, build, free_port


class Network(MLModel):
    """The runtime."""

    async def load(self) -> bool:
        self.network = build()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32, copy=False)
        with torch.inference_mode():
            scores = self.network(torch.from_numpy(rows)).numpy()
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
    # doors that nobody asks open all the same
    ports = {"http_port": PORT, "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"host": "127.0.0.1", **ports, "debug": False, "parallel_workers": 0, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "network", "implementation": "benchmarks.servers.mlserver.Network"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = str(Path(sys.executable).with_name("mlserver"))
    os.execv(command, [command, "start", str(folder)])
