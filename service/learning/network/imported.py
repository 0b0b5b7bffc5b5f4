"""Makes a checkpoint of a model that was trained elsewhere, once its names, shapes and numbers are checked.

It learned none of our batches, and no row of its classes need be here: see `absent_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from service.contract.inputs import (
    Architecture,
    CnnBackbone,
    InputSpec,
    MlpBackbone,
    PretrainedBackbone,
    TextInput,
    places_of,
)
from service.contract.tables import NumberColumn, TableInput, table_facts
from service.errors import InvalidContent
from service.learning.data.learned_values import LACKED_PART, SPARSE_PART
from service.learning.network.checkpoint import BlockLayout, Checkpoint, Layout, Tensors, source_head
from service.learning.network.input_scale import InputScale, declared_scale
from service.learning.network.network import build, fresh, layout_of, parts_of
from service.learning.network.part_kinds import SERVED, kind_of
from service.learning.wording import listed, reason
from service.remedies import MAKE_ALIKE

AT = "/weights"
TABLES_AS_EXPORTED = (
    "Weights of an architecture do not say how rows of a table become numbers. Import a version as it was exported, or "
    "send rows."
)
OTHER_SCALE = "The file scales its inputs in another way than this model declares. Make a model with its scale."
NAMED = 5
"""Columns that a sentence names; the rest are counted."""
UNFIT = (AssertionError, AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
"""Errors of a network whose parts do not fit together."""

Arrays = Mapping[str, NDArray[Any]]
Pretrained = Callable[[PretrainedBackbone], Tensors]
"""Reads the weights of a pretrained backbone that are here. Raises MethodRefused, InvalidContent."""


@dataclass(frozen=True, eq=False)
class Foreign:
    """An uploaded model: tensors by name, and either the layout of an exported version or an architecture.

    scale: None where the model declares one, or where the file holds it.
    """

    tensors: Arrays
    classes: Sequence[str]
    layout: Mapping[str, Any] | None = None
    architecture: Architecture | None = None
    scale: InputScale | None = None


def imported(foreign: Foreign, spec: InputSpec, pretrained: Pretrained) -> Checkpoint:
    """Makes it a version of a model of such inputs. Raises InvalidContent with the pointer and the reason."""
    make = _exported if foreign.layout is not None else _of_architecture
    checkpoint = make(foreign, spec, pretrained)
    _check_answers(checkpoint, spec)
    return checkpoint


def _of_architecture(foreign: Foreign, spec: InputSpec, pretrained: Pretrained) -> Checkpoint:
    """Makes a network of a known architecture, whose tensors are named part/name or part.name."""
    assert foreign.architecture is not None
    if isinstance(spec, TableInput):
        raise InvalidContent.at(AT, TABLES_AS_EXPORTED)
    backbone = foreign.architecture.backbone
    scale = _scale(foreign, spec)
    weights = None
    if isinstance(backbone, PretrainedBackbone):
        weights = _tensors_of(foreign.tensors, "backbone.0") or pretrained(backbone)
    _check_room(foreign, spec)
    try:
        network = fresh(spec, foreign.architecture, scale, foreign.classes, torch.Generator().manual_seed(0), weights)
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
        held = {}
        for name, like in tensors.items():
            key = next((k for k in (f"{part}/{name}", f"{part}.{name}") if k in foreign.tensors), None)
            if key is None or foreign.tensors[key].shape != tuple(like.shape):
                raise _missing(f"{part}/{name}", None if key is None else foreign.tensors[key].shape, wanted)
            held[name] = torch.from_numpy(foreign.tensors[key].copy())
            used.add(key)
        parts[part] = held
    if extra := sorted(set(foreign.tensors) - used):
        raise InvalidContent.at(AT, f'This architecture has no tensor "{extra[0][:100]}". Leave it out.')
    layout = network.layout.model_copy(update={"imported": list(foreign.classes)})
    return Checkpoint(layout, parts, {part: frozenset() for part in parts})


def _check_room(foreign: Foreign, spec: InputSpec) -> None:
    """Raises InvalidContent where the file holds fewer numbers than its architecture asks for, before any is made."""
    assert foreign.architecture is not None
    backbone = foreign.architecture.backbone
    if isinstance(backbone, PretrainedBackbone):
        return
    widths = [prod(spec.shape)]
    if isinstance(backbone, MlpBackbone):
        widths += backbone.hidden
    elif isinstance(backbone, CnnBackbone):
        widths = [spec.shape[0], *backbone.channels]
    needed = sum(a * b for a, b in pairwise([*widths, len(foreign.classes)]))
    size = sum(array.size for array in foreign.tensors.values())
    if size < needed:
        raise InvalidContent.at(
            AT, f"The file holds {size:,} numbers, and its architecture needs at least {needed:,} for this model."
        )


def _scale(foreign: Foreign, spec: InputSpec) -> InputScale:
    """The scale that the model declares; else the one named with the file, or in it. Raises InvalidContent."""
    declared = declared_scale(spec)
    held = _tensors_of(foreign.tensors, "scale")
    other = foreign.scale or (InputScale.load(held) if held.keys() >= {"mean", "std"} else None)
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
    if not bool(torch.isfinite(scale.std).all() and torch.isfinite(scale.mean).all()):
        raise InvalidContent.at("/scale", "The numbers of a scale must be within those of float32.")
    return scale


def _same(a: InputScale, b: InputScale) -> bool:
    return all(
        x.shape == y.shape and bool(torch.allclose(x, y))
        for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True)
    )


def _exported(foreign: Foreign, spec: InputSpec, pretrained: Pretrained) -> Checkpoint:
    """Makes a version of another model, whose layout says what its tensors are."""
    assert foreign.layout is not None
    try:
        layout = Layout.model_validate(
            {**foreign.layout, "exact": None, "imported": list(foreign.classes)}, strict=False
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"][:6])
        raise InvalidContent.at(
            "/layout", f"The layout in the metadata cannot be used: {where}: {first['msg']}."
        ) from None
    check_columns(layout.input, spec)
    if (layout.input.kind, layout.input.shape) != (spec.kind, spec.shape):
        raise InvalidContent.at(
            "/layout/input",
            f"The file takes inputs of kind {layout.input.kind} and shape {list(layout.input.shape)}; this model takes "
            f"{spec.kind} and {list(spec.shape)}. To take it in, {MAKE_ALIKE()}.",
        )
    check_numbers(layout)
    parts = _parts(foreign.tensors, isinstance(spec, TableInput))
    values = checked_values(spec, parts)
    backbone = layout.backbone
    if isinstance(backbone, PretrainedBackbone) and "backbone.0" not in parts:
        parts["backbone.0"] = pretrained(backbone)
    if "scale" not in parts:
        raise InvalidContent.at(AT, 'There is no part "scale" in the file.')
    layout = layout.model_copy(update={"input": spec, "classes": list(foreign.classes)})
    checkpoint = Checkpoint(layout, parts, {part: frozenset() for part in parts})
    check_blocks(layout, parts)
    heads = check_sources(layout, parts)
    try:
        if isinstance(spec, TableInput):
            check_table_scale(parts["scale"], spec)
        else:
            _scale(foreign, spec)
        network = build(checkpoint)
        rebuilt, layout = parts_of(network) | heads | values, layout_of(network, foreign.classes)
    except UNFIT as error:
        raise _unfit(error) from None
    for part in sorted(rebuilt.keys() | parts.keys()):
        wanted, held = rebuilt.get(part, {}), parts.get(part, {})
        for name in sorted(wanted.keys() | held.keys()):
            if name not in wanted or name not in held or wanted[name].shape != held[name].shape:
                raise InvalidContent.at(AT, f'The layout and the tensors do not agree about "{part}/{name}".')
    return replace(checkpoint, layout=layout)


def _check_answers(checkpoint: Checkpoint, spec: InputSpec) -> None:
    """Answers one row. Raises InvalidContent where the answers are not finite, or not as many as classes."""
    row = np.array(["a"], object) if isinstance(spec, TextInput) else np.zeros((1, *spec.shape), np.float32)
    try:
        network = build(checkpoint)
        with torch.inference_mode():
            logits = network.answer(row)
            width = network.features(network.prepare(row)).shape[1]
    except UNFIT as error:
        raise _unfit(error) from None
    if logits.shape != (1, len(checkpoint.classes)):
        raise InvalidContent.at(
            "/classes", f"It answers with {logits.shape[-1]} columns for {len(checkpoint.classes)} classes."
        )
    if checkpoint.layout.lifts and width != sum(lift.width for lift in checkpoint.layout.lifts):
        raise InvalidContent.at("/layout/lifts", "The lifts of the layout have another width than their tensors.")
    if not bool(torch.isfinite(logits).all()):
        raise InvalidContent.at(AT, "It answers with numbers that are not finite.")


def _parts(tensors: Arrays, doubles: bool) -> dict[str, Tensors]:
    """The served parts of a file; what else it holds (the judge's head, the state of methods) is left out. doubles:
    whether those among them stay so.

    Raises InvalidContent where a tensor is not named part/name.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for key, array in tensors.items():
        part, _, name = key.partition("/")
        if not name:
            raise InvalidContent.at(AT, f'Tensor "{key[:100]}" is not named part/name, as those of a version are.')
        if kind_of(part) in SERVED:
            tensor = torch.from_numpy(array.copy())
            parts.setdefault(part, {})[name] = tensor if doubles or not tensor.is_floating_point() else tensor.float()
    return dict(parts)


def _tensors_of(tensors: Arrays, part: str) -> dict[str, Tensor]:
    """Tensors of one part, named part/name or part.name."""
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
    fault = "is missing" if shape is None else f"has the shape {list(shape)}"
    return InvalidContent.at(AT, f'Tensor "{name}" {fault}. This architecture has {due}.')


def _unfit(error: Exception) -> InvalidContent:
    fault = reason(error)
    if "floating point" in fault:
        fault = "some hold whole numbers, and weights are fractions (F64, F32, F16 or BF16)"
    return InvalidContent.at(AT, f"The tensors do not fit together: {fault}.")


def check_columns(file: InputSpec, spec: InputSpec) -> None:
    """Checks that a table has the very columns of the model, and a vector those of its names, where both have such.
    Raises InvalidContent with those that differ."""
    names, due = [tuple(places_of(one)) for one in (file, spec)]
    other = table_facts(file) != table_facts(spec) if isinstance(spec, TableInput) else names != due
    if file.kind != spec.kind or not (other and names and due):
        return
    alone = {"The file": [n for n in names if n not in due], "This model": [n for n in due if n not in names]}
    said = [f"{which} alone has {_quoted(its)}." for which, its in alone.items() if its]
    if not said:
        said = ["They stand in another order." if names != due else _described(file, spec)]
    sentence = f"The columns of the file's {spec.kind} are not those of this model. {' '.join(said)}"
    raise InvalidContent.at("/layout/input", f"{sentence} To take it in, {MAKE_ALIKE()}.")


def _quoted(names: Sequence[str]) -> str:
    """Names in quotes; those that are many are counted."""
    more = [f"{len(names) - NAMED:,} more"] if len(names) > NAMED else []
    return listed([*(f'"{name}"' for name in names[:NAMED]), *more])


def _described(file: InputSpec, spec: InputSpec) -> str:
    """Says which columns of the same names are described in another way."""
    assert isinstance(file, TableInput)
    assert isinstance(spec, TableInput)
    pairs = zip(file.columns, spec.columns, strict=True)
    others = [a.name for a, b in pairs if a.model_dump(exclude={"new_values"}) != b.model_dump(exclude={"new_values"})]
    return f"Described in another way: {_quoted(others)}." if others else "They count in another number of indicators."


def check_table_scale(scale: Tensors, spec: TableInput) -> None:
    """Checks the shapes of a table's scale, and that it divides by what is above 0. Raises InvalidContent."""
    numbers = sum(isinstance(column, NumberColumn) for column in spec.columns)
    due = {"mean": (numbers,), "std": (numbers,), "knots": (numbers, spec.pieces + 1), "salt": ()}
    for name, shape in due.items():
        if name not in scale or tuple(scale[name].shape) != shape:
            sentence = f'The tensors do not fit together: "scale/{name}" has the shape {list(shape)} for these columns.'
            raise InvalidContent.at(AT, sentence)
    if not bool((scale["std"] > 0).all()):
        raise InvalidContent.at(AT, "The std of a scale must be > 0.")


def checked_values(spec: InputSpec, parts: Mapping[str, Tensors]) -> dict[str, Tensors]:
    """The part of learned values, where inputs are tables. Raises InvalidContent where it does not fit the columns."""
    if not isinstance(spec, TableInput):
        return {}
    held = parts.get("values", {})
    wanted = {str(place) for place in spec.growing}
    sound = all(t.ndim == 1 and t.dtype == torch.float64 and bool(torch.isfinite(t).all()) for t in held.values())
    counts = {LACKED_PART: len(spec.columns), SPARSE_PART: 1}
    known = [(held[name], size) for name, size in counts.items() if name in held]
    sound = sound and all(len(count) == size and bool((count >= 0).all()) for count, size in known)
    if held.keys() - {*counts} != wanted or not sound:
        raise InvalidContent.at(AT, 'The part "values" does not hold the learned values of each column without a list.')
    return {"values": held} if held else {}


LARGEST_LAYER = 2**28
"""Most numbers of a dense layer, were it full."""


def check_numbers(layout: Layout) -> None:
    """Checks numbers of a layout that nothing else bounds. Raises InvalidContent."""
    if not (isfinite(layout.temperature) and 1e-3 <= layout.temperature <= 1e3):
        raise InvalidContent.at("/layout/temperature", "The temperature of a version lies between 0.001 and 1,000.")
    if layout.shift is not None and not -64 <= layout.shift <= 64:
        raise InvalidContent.at("/layout/shift", "The grid of the features lies between 2^-64 and 2^64.")
    if len(layout.classes) != len(layout.imported):
        raise InvalidContent.at(
            "/classes", f"There are {len(layout.classes)} columns and {len(layout.imported)} classes."
        )


def check_blocks(layout: Layout, parts: Mapping[str, Tensors]) -> None:
    """Checks that every block has tensors of its size, and that no layer is huge. Raises InvalidContent."""
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
    """The heads of sources, each of the size of the shared head. Raises InvalidContent."""
    heads = {part: parts.get(part, {}) for part in map(source_head, range(len(layout.sources)))}
    columns = max((block.columns[1] for block in layout.head), default=0)
    wanted = {"weight": (len(layout.classes), columns), "bias": (len(layout.classes),)}
    for part, tensors in heads.items():
        if {name: tuple(t.shape) for name, t in tensors.items()} != wanted:
            raise InvalidContent.at("/layout", f'A source has the head "{part}", which is not in the file as claimed.')
    return heads


def _tiles(layer: Sequence[BlockLayout]) -> bool:
    """Whether the blocks, in their order, give all outputs of the layer."""
    spans = list(dict.fromkeys(block.rows for block in layer))
    return not spans or [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]


def _size(block: BlockLayout) -> tuple[int, int]:
    return block.rows[1] - block.rows[0], block.columns[1] - block.columns[0]
