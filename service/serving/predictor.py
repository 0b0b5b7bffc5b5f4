"""A loaded version computes answers to raw rows; its bytes are verified as they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from service.contract.inputs import CnnBackbone, PretrainedBackbone, TextInput
from service.contract.tables import TableInput
from service.errors import CorruptArtifact, InvalidContent
from service.learning.backbones.extractor import Extractor, SharedWeights, tensors_of
from service.learning.data.rows import Array
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.checkpoint import LAYOUT, VALUES, Checkpoint, Tensors
from service.learning.network.network import Network, build
from service.learning.network.part_kinds import SERVED, kind_of
from service.serving.compute.batchnorm_folding import served
from service.serving.compute.forward import UNKNOWN, Ending, Extremes, Forward, forwards, matrices
from service.serving.kinds import kind_of_target
from service.serving.kinds.kind import USUAL, PredictOptions, RowAnswers
from service.serving.pace import Pace, most_rows
from service.serving.unusual import Usual
from service.tuning.priority import give_way

VALUE_BYTES = 250
"""Memory of a learned value, in the tables that it is looked up in."""
WARM_TEXT = "a text of about as many words as people send"


class Predictor:
    """The network of a loaded version. Several threads may call it: nothing in it changes.

    kind: what it does for its kind of target. names: of the columns of an answer, in their order.
    usual: what rows are held against.
    family: the same object for all versions of a model; the loader sets it.
    tables: whether rows are those of tables, which stay float64. known: codes of the values of open categories that it
    has learned, by the place of their column.
    bytes: memory of its weights, a shared backbone left out.

    `like`: a version of the same model or layers. If their sizes are close its pace is taken over, and one row is
    enough to warm up. `backbone`: a pretrained backbone that is already served; the checkpoint then lacks that part.
    """

    def __init__(
        self, checkpoint: Checkpoint, like: Predictor | None = None, backbone: Extractor | None = None
    ) -> None:
        layout = checkpoint.layout
        self.kind = kind_of_target(checkpoint)
        network = build(checkpoint, backbone)
        network.requires_grad_(False)
        give_way()
        if isinstance(layout.backbone, CnnBackbone):
            for weight in (p for p in network.backbone.parameters() if p.ndim == 4):  # a fifth to a third quicker
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        source_heads = [_head(tensors) for tensors in checkpoint.source_heads()]
        # only the steps are kept; the rest of the network is freed
        ending = Ending(self.kind.order, layout.temperature, self.kind.last)
        values = checkpoint.learned_values() if VALUES in checkpoint.parts else None
        steps = forwards(network, [network.head, *source_heads], ending, values)
        give_way()
        self._forward, self._source_forwards = steps[0], dict(zip(layout.sources, steps[1:], strict=True))
        self._extractor = network.backbone if isinstance(network.backbone, Extractor) else None
        self.family: object = object()
        self.names = self.kind.names
        self.input = layout.input
        self.tables = isinstance(layout.input, TableInput)
        self.known = {} if values is None else {place: frozenset(c.tolist()) for place, c in values.codes.items()}
        self._values, self.usual = values, Usual(self.input, network.scale, values)
        self.bytes = _own_bytes(network) + sum(matrix.packed_bytes for matrix in matrices(steps))
        self.bytes += VALUE_BYTES * sum(map(len, self.known.values()))
        self.pace = self._warmed(like)

    def answer(self, inputs: Array, options: PredictOptions = USUAL) -> RowAnswers:
        """Answers raw rows [n, ...], in passes of at most `pace.cap` rows, by the source's head, if any."""
        step, cap = self.head_of(options.source), self.pace.cap
        starts = range(0, max(len(inputs), 1), cap)
        passes = [self.run_pass(inputs[k : k + cap], step, options=options) for k in starts]
        return passes[0].concat(passes)

    def head_of(self, source: str | None) -> Forward:
        return self._forward if source is None else self._source_forwards.get(source, self._forward)

    def run_pass(
        self, inputs: Array, step: Forward, extremes: Extremes = UNKNOWN, options: PredictOptions = USUAL
    ) -> RowAnswers:
        """One pass over raw rows; texts of one length pass together. `extremes`: their smallest and largest number."""
        extractor = self._extractor
        if options.unlearned and self._values is not None:
            inputs = self._values.known_only(inputs)
        # weights need no gradient, so torch records none
        given = (
            step(torch.from_numpy(inputs), extremes) if extractor is None else self._extracted(inputs, step, extractor)
        )
        answers: RowAnswers = self.kind.answers(given, inputs, options)
        marks = self.usual.marks(inputs, extremes) if inputs.dtype != object else None
        return answers if marks is None else answers.marked(marks)

    def _extracted(self, inputs: Array, step: Forward, extractor: Extractor) -> Tensor:
        prepared = extractor.prepare(inputs)
        companions = extractor.companions(prepared)
        groups = set(companions.tolist())
        if len(groups) == 1:
            return step(prepared)
        given = torch.empty(len(prepared), len(self.names), dtype=torch.float64)
        for group in groups:
            given[companions == group] = step(prepared[companions == group])
        return given

    @property
    def shared(self) -> SharedWeights | None:
        """Backbone weights that several versions share."""
        return self._extractor.weights if self._extractor is not None else None

    def _warmed(self, like: Predictor | None) -> Pace:
        """Runs the first pass and measures the pace. Raises CorruptArtifact if an answer is not finite."""
        if not self.names:
            return Pace(0.0, 0.0, 1)
        if not self.run_pass(self._rows(1), self._forward).finite:
            raise CorruptArtifact(f"The version answers with something that is no number. {CorruptArtifact.REMEDY}")
        if like is not None and like.input == self.input and 0.8 < self.bytes / max(like.bytes, 1) < 1.25:
            return like.pace
        most = most_rows(prod(self.input.shape), len(self.names))
        return Pace.measured(lambda n: self.run_pass(self._rows(n), self._forward), most)

    def _rows(self, n: int) -> Array:
        if isinstance(self.input, TextInput):
            return np.full(n, WARM_TEXT, object)
        return np.zeros((n, *self.input.shape), np.float64 if self.tables else np.float32)


def _own_bytes(network: Network) -> int:
    backbone, shared_storages = network.backbone, set[int]()
    if isinstance(backbone, Extractor) and backbone.weights is not None:
        shared_storages = {t.untyped_storage().data_ptr() for t in backbone.weights.values()}
    tensors = (*network.parameters(), *network.buffers())
    stored = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(size for at, size in stored.items() if at not in shared_storages)


def _head(tensors: Tensors) -> GrownLinear:
    """A source's head as a layer."""
    weight, bias = tensors["weight"], tensors["bias"]
    block = Block((0, len(weight)), (0, weight.shape[1]), weight, bias, "head.source", "")
    return GrownLinear([block]).requires_grad_(False)


def load(
    layout: Mapping[str, Any],
    shards: Sequence[Mapping[str, Any]],
    get: Callable[[str], bytes],
    like: Predictor | None = None,
) -> Predictor:
    """Builds the predictor from a version's layout and shards. Raises CorruptArtifact.

    `get` reads verified bytes by digest. Versions with the same pretrained backbone share its weights. `like`: a
    version of the same model or layers, whose pace need not be measured again.
    """
    parts: dict[str, Tensors] = {}
    backbone = None
    try:
        parsed = LAYOUT.as_stored(layout)
        for shard in shards:
            part, digest = shard["part"], shard["digest"]
            # low-rank branches add to layers before the norms, which folding would remove
            if part == "backbone.0" and isinstance(parsed.backbone, PretrainedBackbone) and not parsed.low_rank:
                backbone = served(parsed.backbone, digest, get)
            elif kind_of(part) in SERVED:
                parts[part] = tensors_of(parsed.backbone, part, digest, get)
        give_way()
        return Predictor(Checkpoint(parsed, parts), like, backbone)
    except InvalidContent as missing:
        raise CorruptArtifact(f"The version cannot be served: {missing.detail}") from missing
    except (KeyError, RuntimeError, ValueError, SafetensorError) as error:
        raise CorruptArtifact(f"The parts of the version do not fit together. {CorruptArtifact.REMEDY}") from error
