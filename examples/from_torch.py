"""From torch: a network that was trained elsewhere is served, and goes on learning here."""

from __future__ import annotations

import torch
from safetensors.torch import save
from sklearn.datasets import load_digits
from torch import nn

from examples import new_name, verdict
from tsuika import Client


def main() -> None:
    inputs, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)
    hidden, head = nn.Linear(64, 64), nn.Linear(64, 10)
    network = nn.Sequential(hidden, nn.ReLU(), head)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x[:1000] / 16), y[:1000]).backward()
        optimiser.step()
    tensors = {f"backbone.0/0.{name}": t.detach() for name, t in hidden.named_parameters()}
    tensors |= {f"head.0/{name}": t.detach() for name, t in head.named_parameters()}
    with Client() as tsuika:
        model = tsuika.create_model(new_name("torch"), {"kind": "vector", "size": 64, "scale": {"mean": 0, "std": 16}})
        mlp, names = {"backbone": {"name": "mlp", "hidden": [64]}}, [str(k) for k in range(10)]
        model.import_version(save(tensors), architecture=mlp, classes=names, promote=True)
        print("served:", model.predict(x[1000:1001]).predictions[0].class_, "is", labels[1000])
        print(verdict(model.update(x[1000:1400].numpy(), labels[1000:1400].astype(str))))


if __name__ == "__main__":
    main()
