"""From 10 classes to 100 in one update: CIFAR-10, then ninety classes of CIFAR-100, over HTTP.

    tsuika serve                                              in one terminal
    python -m examples.cifar.grow FOLDER [--rows 100]         in another

FOLDER holds the binary versions of CIFAR-10 and CIFAR-100 (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz, unpacked).
CIFAR-100's two groups of vehicles are left out: they mean what CIFAR-10's automobile and truck mean. Ninety classes are
left, so the update adds exactly ninety columns to the ten that were there, and those keep their places.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from examples.cifar.files import SIDE, Images, NotCifar, cifar10, cifar100
from service.contract.resources import Update
from tsuika import Client, ClientError, RemoteModel

LEFT_OUT = ("vehicles_1", "vehicles_2")
AT_ONCE = 500
"""Images in a request."""
IMAGES = {"kind": "image", "channels": 3, "height": SIDE, "width": SIDE}


def ninety(images: Images) -> Images:
    """Those of CIFAR-100 that mean something else than CIFAR-10's."""
    return images.take(np.flatnonzero(~np.isin(images.groups, LEFT_OUT)))


def learn(model: RemoteModel, images: Images) -> Update:
    """Post the images in requests of 500, then learn all of them in one update, which goes live even if it was held."""
    for part in _parts(images):
        model.add_batch(part.inputs, part.labels.tolist(), new_classes="allow", again=True)
    update = model.update(batches="pending")
    if update.version is not None and update.verdict != "promoted":
        model.promote(update.version, "An example goes on to its end.")
    return update


def accuracy(model: RemoteModel, images: Images) -> float:
    """Share of the images that the live version names rightly."""
    right = 0
    for part in _parts(images):
        predictions = model.predict(part.inputs).predictions
        right += sum(
            prediction.class_ == name for prediction, name in zip(predictions, part.labels.tolist(), strict=True)
        )
    return right / len(images)


def _parts(images: Images) -> Iterator[Images]:
    for start in range(0, len(images), AT_ONCE):
        yield images.take(np.arange(start, min(start + AT_ONCE, len(images))))


def run(client: Client, folder: Path, rows: int, name: str, settings: dict[str, Any]) -> tuple[list[str], list[str]]:
    """-> columns before and after the update that brings ninety classes. Raises NotCifar."""
    ten, more = cifar10(folder, "train").at_most(rows), ninety(cifar100(folder, "train")).at_most(rows)
    asked_ten, asked_more = cifar10(folder, "test").at_most(rows), ninety(cifar100(folder, "test")).at_most(rows)
    model = client.create_model(name, IMAGES, **settings)
    _tell("CIFAR-10", learn(model, ten))
    before = _columns(model)
    print(f"  {len(before)} columns, accuracy on CIFAR-10 {accuracy(model, asked_ten):.3f}")
    _tell("ninety classes of CIFAR-100", learn(model, more))
    after = _columns(model)
    print(f"  {len(after)} columns, {len(after) - len(before)} of them new; of 100 classes")
    print(f"  accuracy on CIFAR-10 {accuracy(model, asked_ten):.3f}, on the ninety {accuracy(model, asked_more):.3f}")
    return before, after


def _columns(model: RemoteModel) -> list[str]:
    live = model.info().live_version
    assert live is not None
    return model.version(live).classes


def _tell(title: str, update: Update) -> None:
    print(f"{title}: version {update.version}, {update.verdict}. {update.why}")


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser("grow", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where the binary files are")
    parser.add_argument("--rows", type=int, default=100, help="at most so many images a class")
    parser.add_argument("--name", default="cifar", help="of the new model")
    parser.add_argument("--backbone", help="efficientnet_lite0, where the service has it; by default none")
    parser.add_argument("--method", type=json.loads, help='in JSON: {"name": "ridge", "lift": "conv"}; by default auto')
    parser.add_argument("--url", help="of the service; by default TSUIKA_URL, then http://127.0.0.1:8000")
    parser.add_argument("--key", help="by default TSUIKA_KEY")
    a = parser.parse_args(words)
    settings: dict[str, Any] = {"architecture": {"backbone": {"name": a.backbone}}} if a.backbone else {}
    if a.method:
        settings["method"] = a.method
    try:
        with Client(a.url, a.key) as client:
            run(client, a.folder, a.rows, a.name, settings)
    except (NotCifar, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
