"""Networks of any kind that somebody exported: `program/NAME` is the program of `torch.export` in the operator's file.

The steps of its graph are run one by one, by the operators of torch that are allowed here; see `program_graph`. The
features are what the program gives. It takes pixels in [0, 1], three channels, on the side that it was exported with;
where height and width were exported as dynamic, images keep their own.

A name ends in the digest of the graph once a model is made with it: `program/NAME.0123456789ab`. So what a version
needs is always the same, whatever file the operator puts in the place of the first. The graph is stored with the
weights, as the tensor `program`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from service.contract.inputs import ImageInput
from service.errors import InvalidContent
from service.learning.backbones.extractor import Blocks, Extractor, ImageExtractor
from service.learning.backbones.family import Family
from service.learning.backbones.program_graph import DTYPES, MEMORY, Graph, Node, function_of, read_archive, unpacked
from service.learning.backbones.program_meter import Meter
from service.learning.devices import full
from service.learning.wording import reason

PREFIX = "program/"
NAME = re.compile(rf"({PREFIX}[a-z0-9][a-zA-Z0-9_-]*)(?:\.([0-9a-f]{{12}}))?")
GRAPH = "program"
"""The tensor, beside the weights, that holds the graph."""
DEVICE = ""
"""Among the values of a graph: where it runs. No value of a graph is called so."""
MEAN, STD = (0.0,) * 3, (1.0,) * 3
MAKING = tuple(f"torch.ops.aten.{name}." for name in ("arange", "full", "ones", "zeros"))
"""Operators that make tensors of nothing: where the images are."""
LEAST_SIDE = 16
SAME = 1e-4
"""Features of an image are the same up to such a part of the largest: kernels round otherwise in another place."""

_graphs: dict[str, Graph] = {}
"""Graphs that this process has read, by digest."""
_alone: set[tuple[str, int]] = set()
"""Graphs that were found to look at each image alone, by digest and side."""


class StepFailed(InvalidContent, RuntimeError):
    """A step of a program cannot work on these images."""


class Program(nn.Module):
    """Runs a graph. Images [n, 3, h, w] -> features [n, width]. Its weights are buffers: nothing of it trains."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        for k, weight in enumerate(graph.weights):
            self.register_buffer(f"weight_{k}", torch.empty(weight.shape, dtype=DTYPES[weight.dtype]))
        steps = zip(graph.nodes, _last_uses(graph), strict=True)
        self._steps = [(function_of(node), node, last) for node, last in steps]

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x, None)

    def run(self, x: Tensor, meter: Meter | None) -> Tensor:
        """Runs the graph while `meter` watches. Raises StepFailed."""
        weights = enumerate(self.graph.weights)
        held: dict[str, Any] = {weight.argument: getattr(self, f"weight_{k}") for k, weight in weights}
        held[self.graph.row], held[DEVICE] = x, x.device
        for function, node, last in self._steps:
            places = [_given(kind, value, held) for _, by_place, kind, value in node.arguments if by_place]
            names = {name: _given(kind, value, held) for name, by_place, kind, value in node.arguments if not by_place}
            if node.target.startswith(MAKING):
                names["device"] = x.device
            try:
                result = function(*places, **names)
            except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                if full(error):
                    raise
                raise _failed(node, error) from error
            _keep(result, node, held)
            if meter is not None:
                meter.step(node, [*places, *names.values()], held, last)
            for name in last:
                held.pop(name, None)
        return cast(Tensor, held[self.graph.result])


class ProgramExtractor(ImageExtractor):
    def __init__(self, graph: Graph, side: int) -> None:
        super().__init__(Program(graph), side, MEAN, STD)
        self.graph = graph

    def _of_body(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if _graph_of(weights) != self.graph:
            raise RuntimeError("these are the weights of another program")
        # half precision is kept as float32, which holds the same numbers
        return {f"weight_{k}": weights[w.name].to(DTYPES[w.dtype]) for k, w in enumerate(self.graph.weights)}

    def blocks(self) -> Blocks:
        """None: a program stands still."""
        return []


def read_file(path: Path) -> dict[str, Tensor]:
    """The weights of a file, and its graph. Raises OSError, ValueError."""
    graph, weights = read_archive(path)
    return {**weights, GRAPH: torch.frombuffer(bytearray(graph.packed()), dtype=torch.uint8)}


def learn(weights: Mapping[str, Tensor]) -> str:
    """Remembers the graph that stands beside these weights. -> its digest. Raises ValueError where none does."""
    graph = _graph_of(weights)
    if graph.digest not in _graphs:
        _check_run(graph, (graph.side or (LEAST_SIDE * 2,))[0])
        _graphs[graph.digest] = graph
    return graph.digest


def called(name: str) -> str:
    """The name that the operator gives to the file: without the digest."""
    match = NAME.fullmatch(name)
    return match[1] if match is not None else name


def pinned(name: str, digest: str) -> str:
    """The name with the digest of the graph. Raises ValueError for a name that has another one."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f'a program is named like "{PREFIX}mynet"')
    if match[2] not in (None, digest):
        raise ValueError("the file holds another program than the one that the model was made with")
    return f"{match[1]}.{digest}"


def exists(name: str) -> bool:
    return NAME.fullmatch(name) is not None


def make(name: str, side: int | None) -> ProgramExtractor:
    """Makes the network without weights. Raises ValueError for a program that this process has not read, or that cannot
    work on such a side."""
    graph = _known(name)
    side = side or (graph.side or (224, 224))[0]
    if graph.side != (side, side):
        _check_run(graph, side)
    return ProgramExtractor(graph, side)


def _native_side(name: str, images: ImageInput) -> int:
    side = _known(name).side
    return max(images.height, images.width, LEAST_SIDE) if side is None else side[0]


def _known(name: str) -> Graph:
    match = NAME.fullmatch(name)
    graph = _graphs.get(match[2]) if match is not None else None
    if graph is None:
        raise ValueError("its program is not known here: whoever runs the service names its file")
    return graph


def _graph_of(weights: Mapping[str, Tensor]) -> Graph:
    if GRAPH not in weights:
        raise ValueError("no program stands beside these weights")
    graph = unpacked(weights[GRAPH].numpy().tobytes())
    if graph.side is not None and graph.side[0] != graph.side[1]:
        raise ValueError("it must take square images")
    for weight in graph.weights:
        if weight.name not in weights or list(weights[weight.name].shape) != weight.shape:
            raise ValueError(f"its tensor {weight.name[:100]} is missing, or has another shape")
    return graph


def _check_run(graph: Graph, side: int) -> None:
    """Runs it on a block of images without numbers. Raises ValueError where it cannot, or does what it may not."""
    with torch.device("meta"):
        extractor = ProgramExtractor(graph, side)
        rows = extractor.rows_at_once(0)
        try:
            program, x = cast(Program, extractor.body), torch.empty(rows, 3, side, side)
            features = program.run(x, Meter(rows, x, program.buffers()))
            shape = list(features.shape)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            raise ValueError(f"it cannot run: {reason(error)}") from error
    if len(shape) != 2 or shape[0] != rows:
        raise ValueError(f"it gives {shape} for {rows} images, and a vector of features is due for each")


def check_rows(extractor: Extractor) -> None:
    """Runs it on images of chance, once in a process. Raises ValueError where it cannot, or where the features of an
    image depend on the image beside it."""
    assert isinstance(extractor, ProgramExtractor)
    if (key := (extractor.graph.digest, extractor.side)) in _alone:
        return
    chance = torch.Generator().manual_seed(0)
    first, second, third = torch.rand(3, 1, 3, extractor.side, extractor.side, generator=chance) * 2 - 1
    with torch.inference_mode():
        ahead, behind = extractor(torch.cat([first, second]))[0], extractor(torch.cat([third, first]))[1]
    if not torch.isfinite(ahead).all():
        raise ValueError("it gives features that are not finite")
    if not torch.allclose(ahead, behind, rtol=0, atol=SAME * float(ahead.abs().max())):
        raise ValueError("the features that it gives of an image depend on the other images of a batch")
    _alone.add(key)


def _failed(node: Node, error: Exception) -> StepFailed:
    step = node.target.removeprefix("torch.ops.")
    sentence = f"The step {step} of the program cannot work on these images: {reason(error)}."
    return StepFailed(f"{sentence} Send others, or take another backbone.", [("/inputs", sentence)])


def _given(kind: str, value: Any, held: Mapping[str, Any]) -> Any:
    match kind:
        case "as_tensor":
            return held[value]
        case "as_tensors" | "as_optional_tensors":
            return [None if name is None else held[name] for name in value]
        case "as_sym_int":
            return held[value] if isinstance(value, str) else value
        case "as_sym_ints":
            return [held[size] if isinstance(size, str) else size for size in value]
        case "as_scalar_type":
            return DTYPES[value]
        case "as_memory_format":
            return MEMORY[value]
        case "as_layout":
            return torch.strided
        case "as_device":
            return held[DEVICE]
        case _:
            return value


def _keep(result: Any, node: Node, held: dict[str, Any]) -> None:
    """Keeps what a step has given, by its names. `*`: a list follows."""
    names = node.results
    if names and names[0] == "*":
        held.update(zip(names[1:], result, strict=True))
    elif len(names) == 1:
        held[names[0]] = result
    elif names:
        held.update(zip(names, result, strict=True))


def _last_uses(graph: Graph) -> list[list[str]]:
    """The names that no later step uses, of each step: what they hold is freed."""
    used, last = {graph.result}, list[list[str]]()
    for node in reversed(graph.nodes):
        names = set(node.results)
        for _, _, kind, value in node.arguments:
            if kind.startswith(("as_tensor", "as_optional", "as_sym")):
                names.update(name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str))
        last.append(sorted(names - used))
        used |= names
    return last[::-1]


FAMILY = Family(
    f"{PREFIX}.*",
    "image",
    (),
    "vision",
    exists,
    make,
    _native_side,
    read_file,
    example="program.pt2",
    trains=False,
    learn=learn,
    called=called,
    pinned=pinned,
    check_rows=check_rows,
)
