"""LitServe with its dynamic batches and its fast queue, one worker."""

from __future__ import annotations

from typing import Any

import litserve
import numpy as np
import torch

from benchmarks.servers.network import MOST_ROWS, PORT, build


class Network(litserve.LitAPI):
    """The API of one worker."""

    def setup(self, device: str) -> None:
        self.network = build()

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # without a type it is the JSON
        return np.asarray(request["x"], np.float32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.network(torch.from_numpy(x)).numpy()

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"class": int(output.argmax()), "scores": output.tolist()}


if __name__ == "__main__":
    network = Network(max_batch_size=MOST_ROWS, batch_timeout=0.002)
    server = litserve.LitServer(network, accelerator="cpu", workers_per_device=1, timeout=60, fast_queue=True)
    quiet = {"generate_client_file": False, "log_level": "warning", "access_log": False}
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, **quiet)
