"""A model that was trained elsewhere -> a checkpoint: names, shapes and numbers are checked, and it answers once.

It learned none of our batches, and no row of its classes need be here: see `unseen`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from service.contract.inputs import Architecture, CnnBackbone, InputSpec, MlpBackbone, PretrainedBackbone, TextInput
from service.errors import InvalidContent
from service.learning.network.checkpoint import SERVED, BlockLayout, Checkpoint, Layout, Tensors, kind_of, source_head
from service.learning.network.input_scale import InputScale, declared_scale
from service.learning.network.network import build, fresh, layout_of, parts_of

AT = "/weights"
OTHER_SCALE = "The file scales its inputs in another way than this model declares. Make a model with its scale."
UNFIT = (AssertionError, AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
"""What a network raises whose parts do not fit together."""

Arrays = Mapping[str, NDArray[Any]]
Shared = Callable[[PretrainedBackbone], Tensors]
"""Weights of a pretrained backbone as they are here. Raises MethodRefused, InvalidContent."""


@dataclass(frozen=True, eq=False)
class Foreign:
    """What somebody sends: tensors by name, and either the layout of an exported version or an architecture.

    scale: null where the model declares one, or where the file holds it.
    """

    tensors: Arrays
    classes: Sequence[str]
    layout: Mapping[str, Any] | None = None
    architecture: Architecture | None = None
    scale: InputScale | None = None


def imported(sent: Foreign, spec: InputSpec, shared: Shared) -> Checkpoint:
    """The version that a model of such inputs makes of it. Raises InvalidContent with the pointer and the reason."""
    made = _exported(sent, spec, shared) if sent.layout is not None else _of_architecture(sent, spec, shared)
    _check_answers(made, spec)
    return made


def _of_architecture(sent: Foreign, spec: InputSpec, shared: Shared) -> Checkpoint:
    """A network of a known architecture; its tensors are named part/name, or part.name."""
    assert sent.architecture is not None
    backbone = sent.architecture.backbone
    scale = _scale(sent, spec)
    weights = None
    if isinstance(backbone, PretrainedBackbone):
        weights = _given(sent.tensors, "backbone.0") or shared(backbone)
    _check_room(sent, spec)
    try:
        network = fresh(spec, sent.architecture, scale, sent.classes, torch.Generator().manual_seed(0), weights)
    except UNFIT as error:
        raise _unfit(error) from None
    wanted = parts_of(network)
    parts: dict[str, Tensors] = {}
    used = {f"scale{by}{name}" for by in "/." for name in ("mean", "std")}
    for part, tensors in wanted.items():
        if part == "scale" or (weights is not None and kind_of(part) == "backbone"):
            parts[part] = tensors
            used |= {f"{part}{by}{name}" for by in "/." for name in tensors}
            continue
        found = {}
        for name, like in tensors.items():
            key = next((k for k in (f"{part}/{name}", f"{part}.{name}") if k in sent.tensors), None)
            if key is None or sent.tensors[key].shape != tuple(like.shape):
                raise _missing(f"{part}/{name}", None if key is None else sent.tensors[key].shape, wanted)
            found[name] = torch.from_numpy(sent.tensors[key].copy())
            used.add(key)
        parts[part] = found
    if extra := sorted(set(sent.tensors) - used):
        raise InvalidContent.at(AT, f'This architecture has no tensor "{extra[0][:100]}". Leave it out.')
    layout = network.layout.model_copy(update={"imported": list(sent.classes)})
    return Checkpoint(layout, parts, {part: frozenset() for part in parts})


def _check_room(sent: Foreign, spec: InputSpec) -> None:
    """The file holds about as many numbers as its architecture asks for, before any is made. Raises InvalidContent."""
    assert sent.architecture is not None
    backbone, size = sent.architecture.backbone, prod(spec.shape)
    if isinstance(backbone, PretrainedBackbone):
        return
    widths = [size]
    if isinstance(backbone, MlpBackbone):
        widths += backbone.hidden
    elif isinstance(backbone, CnnBackbone):
        widths = [spec.shape[0], *backbone.channels]
    needed = sum(a * b for a, b in pairwise([*widths, len(sent.classes)]))
    there = sum(array.size for array in sent.tensors.values())
    if there < needed:
        told = f"The file holds {there:,} numbers, and its architecture needs at least {needed:,} for this model."
        raise InvalidContent.at(AT, told)


def _scale(sent: Foreign, spec: InputSpec) -> InputScale:
    """Declared by the model; else named with the file, or in it."""
    declared = declared_scale(spec)
    held = _given(sent.tensors, "scale")
    other = sent.scale or (InputScale.load(held) if held.keys() >= {"mean", "std"} else None)
    if other is None and declared is None:
        raise InvalidContent.at(
            "/scale",
            'Nobody says how inputs are scaled. Add "scale": {"range": [lo, hi]} or {"mean": ..., "std": ...}.',
        )
    if other is not None and declared is not None and not _same(other, declared):
        raise InvalidContent.at("/scale", OTHER_SCALE)
    scale = declared or other
    assert scale is not None
    if not bool((scale.std > 0).all()):
        raise InvalidContent.at("/scale", "The std of a scale must be > 0.")
    return scale


def _same(a: InputScale, b: InputScale) -> bool:
    mine, other = a.tensors(), b.tensors()
    return all(mine[k].shape == other[k].shape and bool(torch.allclose(mine[k], other[k])) for k in mine)


def _exported(sent: Foreign, spec: InputSpec, shared: Shared) -> Checkpoint:
    """A version of another model: its layout says what its tensors are."""
    assert sent.layout is not None
    try:
        layout = Layout.model_validate({**sent.layout, "exact": None, "imported": list(sent.classes)}, strict=False)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"][:6])
        raise InvalidContent.at(
            "/layout", f"The layout in the metadata cannot be used: {where}: {first['msg']}."
        ) from None
    if (layout.input.kind, layout.input.shape) != (spec.kind, spec.shape):
        raise InvalidContent.at(
            "/layout/input",
            f"The file takes inputs of kind {layout.input.kind} and shape {list(layout.input.shape)}; this model takes "
            f"{spec.kind} and {list(spec.shape)}.",
        )
    check_numbers(layout)
    parts = _parts(sent.tensors)
    backbone = layout.backbone
    if isinstance(backbone, PretrainedBackbone) and "backbone.0" not in parts:
        parts["backbone.0"] = shared(backbone)
    if "scale" not in parts:
        raise InvalidContent.at(AT, 'There is no part "scale" in the file.')
    layout = layout.model_copy(update={"input": spec, "classes": list(sent.classes)})
    made = Checkpoint(layout, parts, {part: frozenset() for part in parts})
    check_blocks(layout, parts)
    heads = check_sources(layout, parts)
    try:
        _scale(sent, spec)
        network = build(made)
        again, layout = parts_of(network) | heads, layout_of(network, sent.classes)
    except UNFIT as error:
        raise _unfit(error) from None
    for part in sorted(again.keys() | parts.keys()):
        ours, theirs = again.get(part, {}), parts.get(part, {})
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape:
                raise InvalidContent.at(AT, f'The layout and the tensors do not agree about "{part}/{name}".')
    return Checkpoint(layout, parts, made.learned)


def _check_answers(made: Checkpoint, spec: InputSpec) -> None:
    """One row through it: as many finite answers as classes. Raises InvalidContent."""
    row = np.array(["a"], object) if isinstance(spec, TextInput) else np.zeros((1, *spec.shape), np.float32)
    try:
        network = build(made)
        with torch.inference_mode():
            logits = network.answer(row)
            width = network.features(network.prepare(row)).shape[1]
    except UNFIT as error:
        raise _unfit(error) from None
    if logits.shape != (1, len(made.classes)):
        raise InvalidContent.at(
            "/classes", f"It answers with {logits.shape[-1]} columns for {len(made.classes)} classes."
        )
    if made.layout.lifts and width != sum(lift.width for lift in made.layout.lifts):
        raise InvalidContent.at("/layout/lifts", "The lifts of the layout have another width than their tensors.")
    if not bool(torch.isfinite(logits).all()):
        raise InvalidContent.at(AT, "It answers with numbers that are not finite.")


def _parts(tensors: Arrays) -> dict[str, Tensors]:
    """Tensors by part, those that answer. Raises InvalidContent."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, array in tensors.items():
        part, _, name = key.partition("/")
        if not name:
            raise InvalidContent.at(AT, f'Tensor "{key[:100]}" is not named part/name, as those of a version are.')
        if kind_of(part) in SERVED:
            parts.setdefault(part, {})[name] = torch.from_numpy(array.copy())
    return dict(parts)


def _given(tensors: Arrays, part: str) -> dict[str, Tensor]:
    """Tensors of one part, however they are joined to its name."""
    return {
        key[len(part) + 1 :]: torch.from_numpy(array.copy())
        for key, array in tensors.items()
        if key.startswith((f"{part}/", f"{part}."))
    }


def _missing(name: str, shape: tuple[int, ...] | None, wanted: Mapping[str, Tensors]) -> InvalidContent:
    due = ", ".join(
        f"{part}/{key} {list(t.shape)}"
        for part, tensors in wanted.items()
        if part != "scale" and len(tensors) < 20
        for key, t in tensors.items()
    )
    what = f'Tensor "{name}" is missing.' if shape is None else f'Tensor "{name}" has the shape {list(shape)}.'
    return InvalidContent.at(AT, f"{what} This architecture has {due}.")


def _unfit(error: Exception) -> InvalidContent:
    told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    if "floating point" in told:
        told = "some hold whole numbers, and weights are fractions (F64, F32, F16 or BF16)"
    return InvalidContent.at(AT, f"The tensors do not fit together: {told}.")


LARGEST_LAYER = 2**28
"""Numbers of a dense layer, were it full."""


def check_numbers(layout: Layout) -> None:
    """Numbers of a layout that nothing else bounds. Raises InvalidContent."""
    if not (isfinite(layout.temperature) and 1e-3 <= layout.temperature <= 1e3):
        raise InvalidContent.at("/layout/temperature", "The temperature of a version lies between 0.001 and 1,000.")
    if layout.shift is not None and not -64 <= layout.shift <= 64:
        raise InvalidContent.at("/layout/shift", "The grid of the features lies between 2^-64 and 2^64.")
    if len(layout.classes) != len(layout.imported):
        raise InvalidContent.at(
            "/classes", f"There are {len(layout.classes)} columns and {len(layout.imported)} classes."
        )


def check_blocks(layout: Layout, parts: Mapping[str, Tensors]) -> None:
    """Every block has its tensors, of the size that it claims, and no layer is huge. Raises InvalidContent."""
    for k, layer in enumerate([*layout.layers, *layout.neck, layout.head]):
        for block in layer:
            weight = parts.get(block.part, {}).get(f"{block.key}weight")
            if weight is None or weight.shape[:2] != _size(block):
                raise InvalidContent.at(
                    "/layout", f'Block "{block.part}/{block.key}weight" is not in the file as claimed.'
                )
        if (layer is layout.head or not layout.inserted) and not _tiles(layer):
            raise InvalidContent.at("/layout", f"The blocks of layer {k + 1} leave out some of its outputs.")
        rows, columns = max((b.rows[1] for b in layer), default=0), max((b.columns[1] for b in layer), default=0)
        if rows * columns > LARGEST_LAYER:
            raise InvalidContent.at("/layout", f"Layer {k + 1} has {rows:,} x {columns:,} numbers, which is too much.")


def check_sources(layout: Layout, parts: Mapping[str, Tensors]) -> dict[str, Tensors]:
    """The heads of their own that sources have, each of the size of the shared one. Raises InvalidContent."""
    found = {part: parts.get(part, {}) for part in map(source_head, range(len(layout.sources)))}
    columns = max((block.columns[1] for block in layout.head), default=0)
    wanted = {"weight": (len(layout.classes), columns), "bias": (len(layout.classes),)}
    for part, tensors in found.items():
        if {name: tuple(t.shape) for name, t in tensors.items()} != wanted:
            raise InvalidContent.at("/layout", f'A source has the head "{part}", which is not in the file as claimed.')
    return found


def _tiles(layer: Sequence[BlockLayout]) -> bool:
    """Whether the outputs of its blocks, in their order, are all outputs of the layer."""
    spans = list(dict.fromkeys(block.rows for block in layer))
    return [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])] if spans else True


def _size(block: BlockLayout) -> tuple[int, int]:
    return block.rows[1] - block.rows[0], block.columns[1] - block.columns[0]
