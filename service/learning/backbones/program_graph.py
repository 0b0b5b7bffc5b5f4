"""The graph of a program of `torch.export`: read from its archive, checked, kept as JSON beside its weights.

Nothing is unpickled and nothing is evaluated: the graph and the description of the weights are JSON, the weights are
raw numbers. Parts of an archive that are pickled are refused, as are operators that are not listed here. So a program
computes tensors from tensors and can do nothing else. The format: torch/_export/serde/schema.py, of torch 2.9 and
later.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch._ops import OpOverload

MOST_NODES = 20_000
MOST_JSON_BYTES = 64 * 2**20
MOST_GRAPH_BYTES = 16 * 2**20
"""Most bytes of a graph as it is kept; real ones have a tenth."""
MOST_EXPANDED = 2**26
"""Most numbers of a tensor that has more of them than are stored."""
CHANNELS = 3
TARGET = re.compile(r"torch\.ops\.aten\.([a-z0-9_]+)\.([A-Za-z0-9_]+)")
NAMES = """
_assert_tensor_metadata _to_copy _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa abs
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d add addmm alias amax amin arange
argmax avg_pool2d baddbmm batch_norm bitwise_and bitwise_not bmm cat ceil celu chunk clamp
clamp_max clamp_min clone constant_pad_nd contiguous conv1d conv2d copy cos cumsum detach div
dropout einsum elu embedding eq erf exp expand expand_as feature_dropout fill flatten floor full
full_like ge gelu glu group_norm gt hardsigmoid hardswish hardtanh index index_select
instance_norm interpolate layer_norm le leaky_relu lift_fresh_copy linalg_norm
linalg_vector_norm linear log log_softmax logical_and logical_not logical_or lt masked_fill
matmul max max_pool2d maximum mean min minimum mish mm movedim mul narrow native_layer_norm ne
neg new_full new_ones new_zeros norm ones ones_like pad permute pixel_shuffle pixel_unshuffle
pow prelu reciprocal reflection_pad2d relu relu6 remainder repeat replication_pad2d reshape
rms_norm roll round rsqrt rsub scaled_dot_product_attention select selu sigmoid silu sin slice
softmax softplus split split_with_sizes sqrt squeeze stack std sub sum swapaxes sym_size t tanh
to transpose tril triu type_as unbind unflatten unfold unsqueeze upsample_bicubic2d
upsample_bilinear2d upsample_nearest2d var var_mean view view_as where zero zeros zeros_like
"""
OPERATORS = frozenset(NAMES.split())
"""Operators of aten that a program may use, without the underscore of those that work in place."""
ON_NUMBERS = frozenset(f"_operator.{name}" for name in ("add", "floordiv", "mod", "mul", "neg", "sub"))
"""Operators on sizes."""
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""torch's kinds of numbers by their codes in an archive."""
MEMORY = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
STRIDED = 7
LITERALS = ("as_int", "as_float", "as_bool", "as_string", "as_ints", "as_floats", "as_bools")
KINDS = (*LITERALS, "as_none", "as_tensor", "as_tensors", "as_optional_tensors", "as_sym_int", "as_sym_ints")
CODED = ("as_scalar_type", "as_memory_format", "as_layout", "as_device")
"""Kinds of arguments."""


class Node(NamedTuple):
    """One step. arguments: (name, whether by position, kind, value); results: names of what it gives."""

    target: str
    arguments: list[tuple[str, bool, str, Any]]
    results: list[str]


class Weight(NamedTuple):
    """A tensor that a program holds: its name in the graph, its name in the state of the network, shape and dtype."""

    argument: str
    name: str
    shape: list[int]
    dtype: int


class Graph(NamedTuple):
    """A program of images. row: the name of its input [n, 3, h, w]; side: (h, w), None where they may be any; result:
    the name of the features [n, width]."""

    row: str
    side: tuple[int, int] | None
    weights: list[Weight]
    nodes: list[Node]
    result: str

    def packed(self) -> bytes:
        """The graph as JSON; equal graphs give equal bytes."""
        return json.dumps(self, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name it."""
        return hashlib.sha256(self.packed()).hexdigest()[:12]


def unpacked(data: bytes) -> Graph:
    """Inverse of `Graph.packed`, whoever wrote the bytes. Raises ValueError where they are no graph that may run."""
    if len(data) > MOST_GRAPH_BYTES:
        raise ValueError(f"its graph has more than {MOST_GRAPH_BYTES:,} bytes")
    try:
        row, side, weights, nodes, result = json.loads(data)
        graph = Graph(
            str(row),
            None if side is None else (int(side[0]), int(side[1])),
            [Weight(str(a), str(n), [int(size) for size in shape], int(dtype)) for a, n, shape, dtype in weights],
            [
                Node(str(t), [(str(n), bool(p), str(k), v) for n, p, k, v in args], list(map(str, outs)))
                for t, args, outs in nodes
            ],
            str(result),
        )
    except (IndexError, RecursionError, TypeError, ValueError) as error:
        raise ValueError("its graph is no program") from error
    check(graph)
    return graph


def check(graph: Graph) -> None:
    """Raises ValueError for what a program may not do."""
    if len(graph.nodes) > MOST_NODES:
        raise ValueError(f"it has {len(graph.nodes):,} steps; {MOST_NODES:,} are the most")
    held = {graph.row} | {weight.argument for weight in graph.weights}
    if any(weight.dtype not in DTYPES or min(weight.shape, default=0) < 0 for weight in graph.weights):
        raise ValueError("a tensor of it is of an unknown kind")
    for node in graph.nodes:
        for _, _, kind, _ in node.arguments:
            if kind not in KINDS and kind not in CODED:
                raise ValueError(f"it uses an argument of an unknown kind ({kind[:40]})")
        function = function_of(node)
        if isinstance(function, OpOverload):
            _check_operator(node, function, held)


def function_of(node: Node) -> Callable[..., Any]:
    """What a step calls. Raises ValueError for what is no operator that may be used."""
    if node.target in ON_NUMBERS:
        return _of_sizes(getattr(operator, node.target.removeprefix("_operator.")))
    match = TARGET.fullmatch(node.target)
    name = match[1] if match is not None else ""
    if match is None or (name.removesuffix("_") if in_place(node.target) else name) not in OPERATORS:
        raise ValueError(f"it uses the operator {node.target[:100]}, which is not one of those that are known here")
    function = getattr(getattr(torch.ops.aten, name, None), match[2], None)
    if not isinstance(function, OpOverload):
        raise ValueError(f"this release of torch has no operator {node.target[:100]}")
    return cast(Callable[..., Any], function)


def in_place(target: str) -> bool:
    """Whether an operator writes to its first argument."""
    match = TARGET.fullmatch(target)
    return match is not None and match[1].endswith("_") and not match[1].startswith("_")


def _of_sizes(function: Callable[..., Any]) -> Callable[..., Any]:
    def of_sizes(*sizes: Any) -> Any:
        result = function(*sizes) if all(isinstance(size, int | torch.SymInt) for size in sizes) else None
        if result is None or (isinstance(result, int) and not -(2**63) <= result < 2**63):
            raise ValueError("it computes with something that is no size")
        return result

    return of_sizes


def _check_operator(node: Node, function: OpOverload, held: set[str]) -> None:
    """Checks what an operator is given, by its own names of its arguments; those in the file are anybody's."""
    due = function._schema.arguments
    given: dict[str, Any] = {}
    for k, (name, by_place, _, value) in enumerate(node.arguments):
        given[due[k].name if by_place and k < len(due) else name] = value
    for k, argument in enumerate(due):
        if argument.is_write and argument.name in given and not (k == 0 and in_place(node.target)):
            raise ValueError(f"{node.target} writes to its argument {argument.name}")
    written = given.get(due[0].name) if in_place(node.target) else None
    if isinstance(written, str) and written in held:
        raise ValueError(f"it writes to its own weights or input ({node.target})")
    # instances are normed by their own moments while nothing trains, too: only those that are kept would move
    moved = given.get("use_input_stats") and (given.get("running_mean") or given.get("running_var"))
    if given.get("train") or given.get("training") or moved:
        raise ValueError("it was exported while it trained: call .eval() before torch.export.export")
    if given.get("dropout_p"):
        raise ValueError("it drops answers at random: call .eval() before torch.export.export")
    one = isinstance(given.get("dim"), list) and len(given["dim"]) == 1
    if node.target.startswith("torch.ops.aten.linalg_norm.") and given.get("ord") is not None and not one:
        raise ValueError("it takes the norm of matrices, whose singular values take minutes; name one dimension")
    if given.get("rounding_mode") not in (None, "floor"):
        # of the least whole number by -1 it ends the process
        raise ValueError('it divides and cuts the fraction off; divide with rounding_mode="floor"')


def read_archive(path: Path) -> tuple[Graph, dict[str, Tensor]]:
    """The graph and the weights of a file that `torch.export.save` wrote. Raises OSError, ValueError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except (zipfile.BadZipFile, KeyError, TypeError, AttributeError, EOFError, IndexError, RuntimeError) as error:
        raise ValueError("it is no file of torch.export.save of torch 2.9 or later") from error


def _read(archive: zipfile.ZipFile) -> tuple[Graph, dict[str, Tensor]]:
    [model] = [
        name for name in archive.namelist() if PurePosixPath(name).parent.name == "models" and name.endswith(".json")
    ]
    root, key = PurePosixPath(model).parent.parent, PurePosixPath(model).stem
    program = _json(archive, model)
    module = program["graph_module"]
    configs = {
        folder: _json(archive, f"{root}/data/{folder}/{key}_{folder}_config.json")["config"]
        for folder in ("weights", "constants")
    }
    graph = _graph(module["graph"], module["signature"], {**configs["weights"], **configs["constants"]})
    check(graph)
    tensors: dict[str, Tensor] = {}
    for weight in graph.weights:
        [folder] = [folder for folder, config in configs.items() if weight.name in config]
        tensors[weight.name] = _tensor(archive, f"{root}/data/{folder}", configs[folder][weight.name])
    return graph, tensors


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > MOST_JSON_BYTES:
        raise ValueError(f"its graph has more than {MOST_JSON_BYTES:,} bytes")
    return json.loads(_bytes(archive, name))


def _bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed, and torch.export.save compresses nothing")
    return archive.read(name)


def _graph(graph: Mapping[str, Any], signature: Mapping[str, Any], stored: Mapping[str, Any]) -> Graph:
    rows, weights = list[str](), list[Weight]()
    for spec in signature["input_specs"]:
        [(kind, value)] = spec.items()
        if kind == "user_input" and "as_tensor" in value["arg"]:
            rows.append(value["arg"]["as_tensor"]["name"])
        elif kind in ("parameter", "buffer", "tensor_constant"):
            name = value[f"{kind}_name"]
            meta = stored[name]["tensor_meta"]
            shape = [_whole(size) for size in meta["sizes"]]
            weights.append(Weight(value["arg"]["name"], name, shape, meta["dtype"]))
        else:
            raise ValueError(f"it takes something that is no tensor ({kind})")
    results = [
        spec["user_output"]["arg"]["as_tensor"]["name"] for spec in signature["output_specs"] if "user_output" in spec
    ]
    if len(rows) != 1 or len(results) != 1 or len(signature["output_specs"]) != 1:
        raise ValueError("it must take one tensor, a batch of images, and give one, their features")
    sizes = graph["tensor_values"][rows[0]]["sizes"]
    if len(sizes) != 4 or sizes[1].get("as_int") != CHANNELS:
        raise ValueError(f"it must take images [n, {CHANNELS}, h, w]")
    if "as_int" in sizes[0]:
        raise ValueError(
            f"it was exported for {sizes[0]['as_int']} rows alone: export it with the first dimension dynamic, "
            "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)"
        )
    side = (sizes[2]["as_int"], sizes[3]["as_int"]) if all("as_int" in size for size in sizes[2:]) else None
    return Graph(rows[0], side, weights, [_node(node) for node in graph["nodes"]], results[0])


def _whole(size: Mapping[str, Any]) -> int:
    if "as_int" not in size:
        raise ValueError("a tensor of it has no fixed size")
    return int(size["as_int"])


def _node(node: Mapping[str, Any]) -> Node:
    arguments = [
        (given["name"], given["kind"] == 1, *_argument(given["arg"], node["target"])) for given in node["inputs"]
    ]
    results = list[str]()
    for result in node["outputs"]:
        [(kind, value)] = result.items()
        if kind == "as_tensors":
            results.append("*")
            results += [tensor["name"] for tensor in value]
        elif kind == "as_tensor":
            results.append(value["name"])
        elif kind == "as_sym_int":
            results.append(value["as_name"])
        elif kind != "as_none":
            raise ValueError(f"{node['target'][:100]} gives something that is no tensor")
    return Node(node["target"], arguments, results)


def _argument(given: Mapping[str, Any], target: str) -> tuple[str, Any]:
    """The kind of an argument, and its value: names of tensors and sizes as strings, everything else as JSON has it."""
    [(kind, value)] = given.items()
    if kind == "as_tensor":
        return kind, value["name"]
    if kind == "as_tensors":
        return kind, [tensor["name"] for tensor in value]
    if kind == "as_optional_tensors":
        return kind, [tensor["as_tensor"]["name"] if "as_tensor" in tensor else None for tensor in value]
    if kind == "as_sym_int":
        return kind, _size(value)
    if kind == "as_sym_ints":
        return kind, [_size(size) for size in value]
    if kind == "as_none":
        return kind, None
    if kind == "as_device":
        return kind, "cpu"
    if kind in LITERALS or kind in CODED:
        return kind, value
    raise ValueError(f"{target[:100]} takes an argument of an unknown kind ({kind})")


def _size(size: Mapping[str, Any]) -> int | str:
    return str(size["as_name"]) if "as_name" in size else int(size["as_int"])


def _tensor(archive: zipfile.ZipFile, folder: str, stored: Mapping[str, Any]) -> Tensor:
    """A tensor as it was, on its own storage."""
    if stored["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", stored["path_name"]):
        raise ValueError("a part of it is pickled, and nothing is unpickled here: export plain tensors on the CPU")
    meta = stored["tensor_meta"]
    if meta["layout"] != STRIDED or meta["dtype"] not in DTYPES:
        raise ValueError("a tensor of it is of an unknown kind")
    sizes, strides = [_whole(size) for size in meta["sizes"]], [_whole(step) for step in meta["strides"]]
    name = f"{folder}/{stored['path_name']}"
    dtype = DTYPES[meta["dtype"]]
    if not math.prod(sizes):
        return torch.empty(sizes, dtype=dtype)
    flat = torch.frombuffer(bytearray(_bytes(archive, name)), dtype=dtype)
    offset = _whole(meta["storage_offset"])
    if (
        offset + sum((size - 1) * step for size, step in zip(sizes, strides, strict=True)) >= len(flat)
        or min(strides, default=0) < 0
        or math.prod(sizes) > max(len(flat), MOST_EXPANDED)
    ):
        raise ValueError("a tensor of it is larger than its bytes")
    return flat.as_strided(sizes, strides, offset).clone(memory_format=torch.contiguous_format)
