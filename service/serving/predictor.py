"""One loaded version: raw rows in, the probability of every class out. Its bytes are verified while they are read."""

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
"""Of images whose model declares no scale."""
WARM_TEXT = "a text of about as many words as people send"

Floats = NDArray[np.float64]
Columns = NDArray[np.integer[Any]]


class Shares(NamedTuple):
    """Probabilities of rows, columns in order of class names. [n, C]

    best, score: the column of the largest share of each row, the first of equal ones, and the share.
    outside: rows with values outside the range that the model declares.
    columns: null, or which columns `shares` holds, by falling share, where the others were let go. [n, k]
    """

    shares: Floats
    best: list[int] | Columns
    score: list[float] | Floats
    outside: frozenset[int] = frozenset()
    columns: Columns | None = None

    @classmethod
    def of(cls, found: Tensor) -> Shares:
        """[n, C] float64"""
        shares = found.numpy()
        return cls(shares, shares.argmax(1).tolist(), np.maximum.reduce(shares, 1).tolist())  # of equal ones the first

    def part(self, start: int, stop: int) -> Shares:
        """Those of some rows."""
        if start == 0 and stop == len(self.best):
            return self
        outside = frozenset(k - start for k in self.outside if start <= k < stop) if self.outside else self.outside
        columns = None if self.columns is None else self.columns[start:stop]
        return Shares(self.shares[start:stop], self.best[start:stop], self.score[start:stop], outside, columns)

    def kept(self, top: int) -> Shares:
        """What an answer of the best `top` classes a row holds, as arrays of its own: 12 bytes a class instead of 8 for
        every class there is, and 12 a row instead of 68. Of rows outside the declared range one is named."""
        best, score = np.array(self.best, np.int32), np.array(self.score)
        outside = frozenset(list(self.outside)[:1])
        if top >= self.shares.shape[1]:
            return Shares(self.shares.copy(), best, score, outside)
        if top == 1:
            return Shares(score[:, None], best, score, outside, best[:, None])
        columns = largest(self.shares, top)
        return Shares(np.take_along_axis(self.shares, columns, 1), best, score, outside, columns.astype(np.int32))

    @classmethod
    def concat(cls, parts: Sequence[Shares]) -> Shares:
        """One after another; all of them whole, or all kept in part."""
        if len(parts) == 1:
            return parts[0]
        shares = np.concatenate([p.shares for p in parts])
        starts = accumulate((len(p.best) for p in parts), initial=0)
        outside = frozenset(start + k for start, p in zip(starts, parts, strict=False) for k in p.outside)
        if isinstance(parts[0].best, list):
            return cls(shares, [b for p in parts for b in p.best], [s for p in parts for s in p.score], outside)
        columns = [p.columns for p in parts if p.columns is not None]
        best, score = np.concatenate([p.best for p in parts]), np.concatenate([p.score for p in parts])
        return cls(shares, best, score, outside, np.concatenate(columns) if columns else None)


def largest(shares: Floats, top: int) -> Columns:
    """Columns of the `top` largest shares of each row, by falling share, equal ones by column. [n, top]

    As the head of a stable sort, in a tenth of its time where there are many columns and few are asked for."""
    n, columns = shares.shape
    if top < columns:
        least = np.partition(shares, columns - top, axis=1)[:, columns - top, None]
        above, equal = shares > least, shares == least
        above |= equal & (np.cumsum(equal, 1) <= top - above.sum(1, keepdims=True))
        if above.sum() == n * top:  # not so where a share is no number
            among = np.nonzero(above)[1].reshape(n, top)
            order = np.argsort(-np.take_along_axis(shares, among, 1), axis=1, kind="stable")
            return np.take_along_axis(among, order, 1)
    return np.argsort(-shares, axis=1, kind="stable")[:, :top]


def declared_range(spec: InputSpec) -> RangeScale | None:
    """The range that a model declares for its inputs; images have one without being told."""
    scale = PIXELS if spec.kind == "image" and spec.scale is None else spec.scale
    return scale if isinstance(scale, RangeScale) else None


class Predictor:
    """A version that answers. Safe to call from several threads: nothing in it changes.

    names: its classes by name, which is also the order of the columns of `probabilities`; quoted: as JSON.
    range: of the values that the model declares, null without one.
    family: the same for all versions of a model; whoever loads it sets it.
    bytes: memory that its weights take, those of a shared backbone left out.
    `like`: a version of the same model or layers; where it is of about the same size its pace is taken over, and one
    row is answered to warm up. `backbone`: the pretrained one as it is served, whose part the checkpoint then lacks.
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
        of_source = [_head(tensors) for tensors in checkpoint.source_heads()]
        # nothing else of the network is kept: what the steps do not use is let go
        steps = forwards(network, [network.head, *of_source], by_name, layout.temperature)
        give_way()
        self._forward, self._of_source = steps[0], dict(zip(layout.sources, steps[1:], strict=True))
        self._extractor = network.backbone if isinstance(network.backbone, Extractor) else None
        self.family: object = object()
        self.names = [classes[k] for k in by_name]
        self.quoted = [msgspec.json.encode(name).decode() for name in self.names]
        self.input = layout.input
        scale = declared_range(self.input)
        # in the precision of the rows, so that the end of the range is within it
        self.range = None if scale is None else (float(np.float32(scale.range[0])), float(np.float32(scale.range[1])))
        self.bytes = _own_bytes(network) + sum(matrix.packed_bytes for matrix in matrices(steps))
        self.pace = self._warmed(like)

    def answer(self, inputs: Array, source: str | None = None) -> Shares:
        """Of raw rows [n, ...], in passes of at most `pace.cap` rows; by the head of their source, where it has one."""
        step, cap = self.head_of(source), self.pace.cap
        if len(inputs) <= cap:
            return self.pass_of(inputs, step)
        return Shares.concat([self.pass_of(inputs[k : k + cap], step) for k in range(0, len(inputs), cap)])

    def probabilities(self, inputs: Array, source: str | None = None) -> Floats:
        """softmax(logits / temperature) of raw rows [n, ...] -> [n, C], each row sums to 1."""
        return self.answer(inputs, source).shares

    def head_of(self, source: str | None) -> Forward:
        """What answers rows of a source."""
        return self._forward if source is None else self._of_source.get(source, self._forward)

    def pass_of(self, inputs: Array, step: Forward, extremes: Extremes = UNKNOWN) -> Shares:
        """One pass of raw rows; texts of one length pass together. `extremes`: of their numbers, where known."""
        extractor = self._extractor
        if extractor is None:  # no weight wants a gradient, so that none is recorded
            return Shares.of(step(torch.from_numpy(inputs), extremes))
        prepared = extractor.prepare(inputs)
        companions = extractor.companions(prepared)
        kinds = set(companions.tolist())
        if len(kinds) == 1:
            return Shares.of(step(prepared))
        found = torch.empty(len(prepared), len(self.names), dtype=torch.float64)
        for kind in kinds:
            found[companions == kind] = step(prepared[companions == kind])
        return Shares.of(found)

    @property
    def shared(self) -> SharedWeights | None:
        """Weights of its backbone that other versions hold, too."""
        return self._extractor.weights if self._extractor is not None else None

    def _warmed(self, like: Predictor | None) -> Pace:
        """Raises CorruptArtifact where the answer is no number."""
        if not self.names:
            return Pace(0.0, 0.0, 1)
        if not np.isfinite(self.pass_of(self._rows(1), self._forward).shares).all():
            raise CorruptArtifact(f"The version answers with something that is no number. {CorruptArtifact.REMEDY}")
        if like is not None and like.input == self.input and 0.8 < self.bytes / max(like.bytes, 1) < 1.25:
            return like.pace
        most = most_rows(prod(self.input.shape), len(self.names))
        return Pace.measured(lambda n: self.pass_of(self._rows(n), self._forward), most)

    def _rows(self, n: int) -> Array:
        if isinstance(self.input, TextInput):
            return np.full(n, WARM_TEXT, object)
        return np.zeros((n, *self.input.shape), np.float32)


def _own_bytes(network: Network) -> int:
    backbone, apart = network.backbone, set[int]()
    if isinstance(backbone, Extractor) and backbone.weights is not None:
        apart = {t.untyped_storage().data_ptr() for t in backbone.weights.values()}
    tensors = (*network.parameters(), *network.buffers())
    stored = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(size for at, size in stored.items() if at not in apart)


def _head(tensors: Tensors) -> GrownLinear:
    """The head of a source."""
    weight, bias = tensors["weight"], tensors["bias"]
    block = Block((0, len(weight)), (0, weight.shape[1]), weight, bias, "head.source", "")
    return GrownLinear([block]).requires_grad_(False)


def load(
    layout: Mapping[str, Any],
    shards: Sequence[Mapping[str, Any]],
    get: Callable[[str], bytes],
    like: Predictor | None = None,
) -> Predictor:
    """The predictor of a version's layout and shards; `get` reads verified bytes by digest. Raises CorruptArtifact.

    Versions that have a pretrained backbone in common share its weights. `like`: a version of the same model or
    layers, which saves measuring the pace anew.
    """
    parts: dict[str, Tensors] = {}
    backbone = None
    try:
        told = Layout.model_validate(layout)
        for shard in shards:
            part, digest = shard["part"], shard["digest"]
            if part == "backbone.0" and isinstance(told.backbone, PretrainedBackbone):
                if told.low_rank:  # branches stand beside its layers, before the norms
                    parts[part] = shared(digest, get)
                else:
                    backbone = served(told.backbone, digest, get)
            elif kind_of(part) in SERVED:
                parts[part] = unpack_shard(get(digest))
        give_way()
        return Predictor(Checkpoint(told, parts), like, backbone)
    except InvalidContent as missing:
        raise CorruptArtifact(f"The version cannot be served: {missing.detail}") from missing
    except (KeyError, RuntimeError, ValueError, SafetensorError) as error:
        raise CorruptArtifact(f"The parts of the version do not fit together. {CorruptArtifact.REMEDY}") from error
