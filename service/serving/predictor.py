"""One loaded version: raw rows in, the probability of every class out. Its bytes are verified while they are read."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.contract.inputs import PretrainedBackbone, TextInput
from service.errors import CorruptArtifact, InvalidContent
from service.learning.architectures import Network, build
from service.learning.backbones.extractor import shared
from service.learning.batch import Array
from service.learning.checkpoint import Checkpoint, Layout, Tensors
from service.learning.heads import Block, GrownLinear
from service.learning.serialization import unpack_shard

SERVED = frozenset({"scale", "backbone", "lift", "neck", "head"})
"""First word of the parts that answer; the judge's head and the state of methods stay in the store."""
BLOCK_ROWS = 128
"""Rows that pass the network at once: a large request does not need large memory."""
WARM_ROWS = 32
WARM_TEXT = "a text of about as many words as people send"


class Predictor:
    """A version that answers. Safe to call from several threads: nothing in it changes.

    names: its classes by name, which is also the order of the columns of `probabilities`.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        classes = checkpoint.classes
        self._by_name = sorted(range(len(classes)), key=lambda k: classes[k])
        self._network = build(checkpoint)
        self._network.requires_grad_(False)
        parts = checkpoint.parts
        self._of_source = {
            name: _with_head(self._network, parts[f"head.source.{k}"])
            for k, name in enumerate(checkpoint.layout.sources)
        }
        self._temperature = checkpoint.layout.temperature
        self.names = [classes[k] for k in self._by_name]
        self.input = checkpoint.layout.input
        self.seconds_a_row = self._warm()

    def probabilities(self, inputs: Array, source: str | None = None) -> NDArray[np.float64]:
        """softmax(logits / temperature) of raw rows [n, ...] -> [n, C], each row sums to 1.

        By the head of their source, where it has one; else by the shared head.
        """
        network = self._network if source is None else self._of_source.get(source, self._network)
        blocks = [_logits(network, inputs[k : k + BLOCK_ROWS]) for k in range(0, len(inputs), BLOCK_ROWS)]
        z = np.concatenate(blocks)[:, self._by_name] / self._temperature
        z -= z.max(1, keepdims=True)
        e = np.exp(z)
        shares: NDArray[np.float64] = e / e.sum(1, keepdims=True)
        return shares

    def _warm(self) -> float:
        """Answers twice, so that the first caller does not pay for it; -> seconds a row. Raises CorruptArtifact."""
        rows: Array = np.zeros((WARM_ROWS, *self.input.shape), np.float32)
        if isinstance(self.input, TextInput):
            rows = np.full(WARM_ROWS, WARM_TEXT, object)
        if not self.names:
            return 0.0
        self.probabilities(rows)
        began = time.perf_counter()
        shares = self.probabilities(rows)
        if not np.isfinite(shares).all():
            raise CorruptArtifact("The version answers with something that is no number; it cannot be served.")
        return (time.perf_counter() - began) / WARM_ROWS


def _logits(network: Network, inputs: Array) -> NDArray[np.float64]:
    with torch.inference_mode():
        logits: NDArray[np.float64] = network.answer(inputs).double().numpy()
    return logits


def _with_head(network: Network, head: Tensors) -> Network:
    """The same network behind another head over the same classes; everything else is shared."""
    weight, bias = head["weight"], head["bias"]
    block = Block((0, len(weight)), (0, weight.shape[1]), weight, bias, "head.source", "")
    twin = copy.copy(network)
    twin._modules = {**network._modules, "head": GrownLinear([block]).requires_grad_(False)}
    return twin


def load(layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]], get: Callable[[str], bytes]) -> Predictor:
    """The predictor of a version's layout and shards; `get` reads verified bytes by digest. Raises CorruptArtifact.

    Versions that have a pretrained backbone in common share its weights.
    """
    told = Layout.model_validate(layout)
    frozen = isinstance(told.backbone, PretrainedBackbone)
    parts: dict[str, Tensors] = {}
    for shard in shards:
        part, digest = shard["part"], shard["digest"]
        if part.partition(".")[0] in SERVED:
            parts[part] = shared(digest, get) if frozen and part == "backbone.0" else unpack_shard(get(digest))
    try:
        return Predictor(Checkpoint(told, parts))
    except InvalidContent as missing:
        raise CorruptArtifact(f"The version cannot be served: {missing.detail}") from missing
    except (KeyError, RuntimeError, ValueError) as error:
        raise CorruptArtifact(f"The parts of the version do not fit together: {error}.") from error
