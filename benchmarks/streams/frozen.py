"""Features of a stream's pretrained backbone, for learners of vectors: peers, published heads, joint retraining."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.streams.stream import Rows
from service.contract.inputs import PretrainedBackbone
from service.learning.backbones import load as frozen
from service.learning.backbones import pretrained
from service.learning.backbones.extractor import SharedWeights
from service.learning.data.rows import Array
from service.learning.data.serialization import digest, pack_shard
from service.learning.ledger.feature_space import Space
from service.learning.network.checkpoint import Checkpoint
from service.serving.predictor import Predictor

Floats = NDArray[np.float32]
AT_ONCE = 64


WIDTHS = {"efficientnet_lite0": 1280, "minilm": 384}

_made: dict[str, tuple[Array, Array]] = {}


def features(
    data: str, rows: tuple[Rows, Rows], backbone: PretrainedBackbone, folder: Path | None
) -> tuple[Array, Array]:
    """-> features [n, L] of the training rows and of the test rows, in the order of the file; kept for the process.

    folder: where NAME.npz keeps them (`train`, `test`, and the core-seconds that they took); made if it is missing.
    """
    file = folder / f"{data}.npz" if folder else None
    if data not in _made and file is not None and file.is_file():
        with np.load(file, allow_pickle=False) as there:
            _made[data] = there["train"].astype(np.float32), there["test"].astype(np.float32)
    elif data not in _made:
        began = time.process_time()
        _made[data] = train, test = extracted(rows[0], backbone), extracted(rows[1], backbone)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, train=train, test=test, seconds=time.process_time() - began)
    return _made[data]


def extracted(rows: Rows, backbone: PretrainedBackbone) -> Floats:
    """By the service's own extractor; texts of similar length together, images of bytes in [-1, 1]. -> [n, L]"""
    extractor = frozen(backbone, pretrained(backbone, {}))
    texts = rows.inputs.dtype == object
    order = np.argsort([len(t) for t in rows.inputs], kind="stable") if texts else np.arange(len(rows))
    features = np.empty((len(rows), extractor.width), np.float32)
    for start in range(0, len(rows), AT_ONCE):
        which = order[start : start + AT_ONCE]
        x = extractor.prepare(rows.inputs[which])
        with torch.inference_mode():
            features[which] = extractor(x if texts else x.float() / 127.5 - 1).numpy()
    return features


_answered: dict[str, dict[bytes, torch.Tensor]] = {}


def remembering(predictor: Predictor, checkpoint: Checkpoint) -> Predictor:
    """The predictor of a checkpoint, whose pretrained backbone looks at no row twice in this process while it gives the
    same features: asking is not measured."""
    extractor = predictor._extractor
    if extractor is None:
        return predictor
    compute, known = extractor.forward, _answered.setdefault(_gives(checkpoint), {})

    def forward(x: torch.Tensor) -> torch.Tensor:
        keys = [row.numpy().tobytes() for row in x]
        new = [k for k, key in enumerate(keys) if key not in known]
        if new:
            known.update(zip([keys[k] for k in new], compute(x[new]).clone(), strict=True))
        return torch.stack([known[key] for key in keys])

    extractor.forward = forward
    return predictor


def _gives(checkpoint: Checkpoint) -> str:
    """Names the features of its backbone: those of other weights, or of branches beside its layers, are others."""
    weights = checkpoint.parts["backbone.0"]
    name = weights.digest if isinstance(weights, SharedWeights) else digest(pack_shard(weights))
    return f"{name} {Space.of(checkpoint).id}" if checkpoint.layout.low_rank else name
