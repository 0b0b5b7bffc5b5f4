"""A loaded version computes the probability of every class for raw rows; its bytes are verified as they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from service.contract.inputs import CnnBackbone, InputSpec, PretrainedBackbone, RangeScale, TextInput
from service.errors import CorruptArtifact, InvalidContent
from service.learning.backbones.extractor import Extractor, SharedWeights, shared
from service.learning.data.rows import Array
from service.learning.data.serialization import unpack_shard
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.checkpoint import SERVED, Checkpoint, Layout, Tensors, kind_of
from service.learning.network.input_scale import IMAGE_RANGE
from service.learning.network.network import Network, build
from service.serving.compute.batchnorm_folding import served
from service.serving.compute.forward import UNKNOWN, Extremes, Forward, forwards, matrices
from service.serving.pace import Pace, most_rows
from service.tuning.priority import give_way

PIXELS = RangeScale(range=IMAGE_RANGE)
"""The scale of images whose model declares none."""
WARM_TEXT = "a text of about as many words as people send"

Floats = NDArray[np.float64]
Columns = NDArray[np.integer[Any]]


class Probabilities(NamedTuple):
    """The probability of each class for each row.

    values: [n, C], columns in order of class names, or [n, k] where only the columns in `columns` were kept.
    best, highest: each row's most probable class, by column, the first of equal ones; and its probability.
    outside: rows with values outside the range that the model declares.
    columns: the kept columns of each row, by falling probability [n, k]; None where all were kept.
    """

    values: Floats
    best: list[int] | Columns
    highest: list[float] | Floats
    outside: frozenset[int] = frozenset()
    columns: Columns | None = None

    @classmethod
    def of(cls, probabilities: Tensor) -> Probabilities:
        """Takes a tensor [n, C] of float64."""
        values = probabilities.numpy()
        return cls(values, values.argmax(1).tolist(), np.maximum.reduce(values, 1).tolist())

    def part(self, start: int, stop: int) -> Probabilities:
        """The probabilities of the rows from `start` to `stop`."""
        if start == 0 and stop == len(self.best):
            return self
        outside = frozenset(k - start for k in self.outside if start <= k < stop) if self.outside else self.outside
        columns = None if self.columns is None else self.columns[start:stop]
        return Probabilities(self.values[start:stop], self.best[start:stop], self.highest[start:stop], outside, columns)

    def kept(self, top: int) -> Probabilities:
        """A copy of each row's best `top` classes: 12 bytes a kept class instead of 8 for every class, and 12 a row
        instead of 68. At most one row outside the declared range stays named."""
        best, highest = np.array(self.best, np.int32), np.array(self.highest)
        outside = frozenset(list(self.outside)[:1])
        if top >= self.values.shape[1]:
            return Probabilities(self.values.copy(), best, highest, outside)
        if top == 1:
            return Probabilities(highest[:, None], best, highest, outside, best[:, None])
        columns = largest(self.values, top)
        values = np.take_along_axis(self.values, columns, 1)
        return Probabilities(values, best, highest, outside, columns.astype(np.int32))

    @classmethod
    def concat(cls, parts: Sequence[Probabilities]) -> Probabilities:
        """Joins the rows of several parts: either all whole, or all kept in part."""
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([p.values for p in parts])
        starts = accumulate((len(p.best) for p in parts), initial=0)
        outside = frozenset(start + k for start, p in zip(starts, parts, strict=False) for k in p.outside)
        if isinstance(parts[0].best, list):
            return cls(values, [b for p in parts for b in p.best], [h for p in parts for h in p.highest], outside)
        columns = [p.columns for p in parts if p.columns is not None]
        best, highest = np.concatenate([p.best for p in parts]), np.concatenate([p.highest for p in parts])
        return cls(values, best, highest, outside, np.concatenate(columns) if columns else None)


def largest(values: Floats, top: int) -> Columns:
    """Columns of the `top` largest values of each row, by falling value, equal ones by column. [n, top]

    The same as the head of a stable sort, in a tenth of its time where columns are many and `top` is small."""
    n, columns = values.shape
    if top < columns:
        least = np.partition(values, columns - top, axis=1)[:, columns - top, None]
        chosen, equal = values > least, values == least
        chosen |= equal & (np.cumsum(equal, 1) <= top - chosen.sum(1, keepdims=True))
        if chosen.sum() == n * top:  # a NaN breaks the count
            candidates = np.nonzero(chosen)[1].reshape(n, top)
            order = np.argsort(-np.take_along_axis(values, candidates, 1), axis=1, kind="stable")
            return np.take_along_axis(candidates, order, 1)
    return np.argsort(-values, axis=1, kind="stable")[:, :top]


def declared_range(spec: InputSpec) -> RangeScale | None:
    """The range of values that a model declares for its inputs; images have a default one."""
    scale = PIXELS if spec.kind == "image" and spec.scale is None else spec.scale
    return scale if isinstance(scale, RangeScale) else None


class Predictor:
    """The network of a loaded version. Several threads may call it: nothing in it changes.

    names: classes in the order of the columns, by name. quoted: the same as JSON.
    range: declared values of the inputs; None where the model declares none.
    family: the same object for all versions of a model; the loader sets it.
    bytes: memory of its weights, a shared backbone left out.

    `like`: a version of the same model or layers. If their sizes are close its pace is taken over, and one row is
    enough to warm up. `backbone`: a pretrained backbone that is already served; the checkpoint then lacks that part.
    """

    def __init__(
        self, checkpoint: Checkpoint, like: Predictor | None = None, backbone: Extractor | None = None
    ) -> None:
        classes, layout = checkpoint.classes, checkpoint.layout
        by_name = sorted(range(len(classes)), key=lambda k: classes[k])
        network = build(checkpoint, backbone)
        network.requires_grad_(False)
        give_way()
        if isinstance(layout.backbone, CnnBackbone):
            for weight in (p for p in network.backbone.parameters() if p.ndim == 4):  # a fifth to a third quicker
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        source_heads = [_head(tensors) for tensors in checkpoint.source_heads()]
        # only the steps are kept; the rest of the network is freed
        steps = forwards(network, [network.head, *source_heads], by_name, layout.temperature)
        give_way()
        self._forward, self._source_forwards = steps[0], dict(zip(layout.sources, steps[1:], strict=True))
        self._extractor = network.backbone if isinstance(network.backbone, Extractor) else None
        self.family: object = object()
        self.names = [classes[k] for k in by_name]
        self.quoted = [msgspec.json.encode(name).decode() for name in self.names]
        self.input = layout.input
        scale = declared_range(self.input)
        # rounded as the rows are, so that a value at the end of the range is inside it
        self.range = None if scale is None else (float(np.float32(scale.range[0])), float(np.float32(scale.range[1])))
        self.bytes = _own_bytes(network) + sum(matrix.packed_bytes for matrix in matrices(steps))
        self.pace = self._warmed(like)

    def answer(self, inputs: Array, source: str | None = None) -> Probabilities:
        """Probabilities for raw rows [n, ...], in passes of at most `pace.cap` rows, by the source's head, if any."""
        step, cap = self.head_of(source), self.pace.cap
        if len(inputs) <= cap:
            return self.run_pass(inputs, step)
        return Probabilities.concat([self.run_pass(inputs[k : k + cap], step) for k in range(0, len(inputs), cap)])

    def probabilities(self, inputs: Array, source: str | None = None) -> Floats:
        """softmax(logits / temperature) of raw rows [n, ...] -> [n, C], each row sums to 1."""
        return self.answer(inputs, source).values

    def head_of(self, source: str | None) -> Forward:
        """The forward pass for rows of that source."""
        return self._forward if source is None else self._source_forwards.get(source, self._forward)

    def run_pass(self, inputs: Array, step: Forward, extremes: Extremes = UNKNOWN) -> Probabilities:
        """One pass over raw rows; texts of one length pass together. `extremes`: their smallest and largest number."""
        extractor = self._extractor
        if extractor is None:  # weights need no gradient, so torch records none
            return Probabilities.of(step(torch.from_numpy(inputs), extremes))
        prepared = extractor.prepare(inputs)
        companions = extractor.companions(prepared)
        kinds = set(companions.tolist())
        if len(kinds) == 1:
            return Probabilities.of(step(prepared))
        values = torch.empty(len(prepared), len(self.names), dtype=torch.float64)
        for kind in kinds:
            values[companions == kind] = step(prepared[companions == kind])
        return Probabilities.of(values)

    @property
    def shared(self) -> SharedWeights | None:
        """Backbone weights that several versions share."""
        return self._extractor.weights if self._extractor is not None else None

    def _warmed(self, like: Predictor | None) -> Pace:
        """Runs the first pass and measures the pace. Raises CorruptArtifact if an answer is not finite."""
        if not self.names:
            return Pace(0.0, 0.0, 1)
        if not np.isfinite(self.run_pass(self._rows(1), self._forward).values).all():
            raise CorruptArtifact(f"The version answers with something that is no number. {CorruptArtifact.REMEDY}")
        if like is not None and like.input == self.input and 0.8 < self.bytes / max(like.bytes, 1) < 1.25:
            return like.pace
        most = most_rows(prod(self.input.shape), len(self.names))
        return Pace.measured(lambda n: self.run_pass(self._rows(n), self._forward), most)

    def _rows(self, n: int) -> Array:
        if isinstance(self.input, TextInput):
            return np.full(n, WARM_TEXT, object)
        return np.zeros((n, *self.input.shape), np.float32)


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
        parsed = Layout.model_validate(layout)
        for shard in shards:
            part, digest = shard["part"], shard["digest"]
            if part == "backbone.0" and isinstance(parsed.backbone, PretrainedBackbone):
                if parsed.low_rank:  # branches add to its layers before the norms, which folding would remove
                    parts[part] = shared(digest, get)
                else:
                    backbone = served(parsed.backbone, digest, get)
            elif kind_of(part) in SERVED:
                parts[part] = unpack_shard(get(digest))
        give_way()
        return Predictor(Checkpoint(parsed, parts), like, backbone)
    except InvalidContent as missing:
        raise CorruptArtifact(f"The version cannot be served: {missing.detail}") from missing
    except (KeyError, RuntimeError, ValueError, SafetensorError) as error:
        raise CorruptArtifact(f"The parts of the version do not fit together. {CorruptArtifact.REMEDY}") from error
