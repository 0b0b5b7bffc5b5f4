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
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import torch
from torch import Tensor

MOST_NODES = 20_000
MOST_JSON_BYTES = 64 * 2**20
CHANNELS = 3
TARGET = re.compile(r"torch\.ops\.aten\.([a-z0-9_]+)\.([A-Za-z0-9_]+)")
NAMES = """
_assert_tensor_metadata _to_copy _unsafe_view abs adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_max_pool2d add addmm alias amax amin arange argmax avg_pool2d baddbmm batch_norm
bitwise_and bitwise_not bmm cat celu chunk clamp clamp_max clamp_min clone constant_pad_nd
contiguous conv1d conv2d cos cumsum detach div dropout einsum elu embedding eq erf exp expand
expand_as feature_dropout flatten full full_like ge gelu glu group_norm gt hardsigmoid hardswish
hardtanh index index_select instance_norm interpolate layer_norm le leaky_relu lift_fresh_copy
linalg_norm linalg_vector_norm linear log log_softmax logical_and logical_not logical_or lt matmul
max max_pool2d maximum mean min minimum mish mm movedim mul narrow native_layer_norm ne neg norm
ones ones_like pad permute pixel_shuffle pixel_unshuffle pow prelu reciprocal reflection_pad2d relu
relu6 remainder repeat replication_pad2d reshape rms_norm roll rsqrt rsub
scaled_dot_product_attention select selu sigmoid silu sin slice softmax softplus split
split_with_sizes sqrt squeeze stack std sub sum swapaxes sym_size t tanh to transpose tril triu
unbind unflatten unfold unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_nearest2d var
var_mean view view_as where zeros zeros_like
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
    try:
        row, side, weights, nodes, result = json.loads(data)
        graph = Graph(
            str(row),
            None if side is None else (int(side[0]), int(side[1])),
            [Weight(str(a), str(n), [int(size) for size in shape], int(dtype)) for a, n, shape, dtype in weights],
            [
                Node(str(t), [(str(n), bool(p), str(k), v) for n, p, k, v in args], list(outs))
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
        _check_target(node, held)
        for name, _, kind, value in node.arguments:
            if kind not in KINDS and kind not in CODED:
                raise ValueError(f"it uses an argument of an unknown kind ({kind[:40]})")
            if name in ("train", "training", "use_input_stats") and value is True:
                raise ValueError("it was exported while it trained: call .eval() before torch.export.export")
            if name == "dropout_p" and value:
                raise ValueError("it drops answers at random: call .eval() before torch.export.export")


def _check_target(node: Node, held: set[str]) -> None:
    if node.target in ON_NUMBERS:
        return
    match = TARGET.fullmatch(node.target)
    name = match[1] if match is not None else ""
    in_place = name.endswith("_") and not name.startswith("_")
    if (name.removesuffix("_") if in_place else name) not in OPERATORS:
        raise ValueError(f"it uses the operator {node.target[:100]}, which is not one of those that are known here")
    if in_place and any(kind == "as_tensor" and value in held for _, _, kind, value in node.arguments[:1]):
        raise ValueError(f"it writes to its own weights or input ({node.target})")


def read_archive(path: Path) -> tuple[Graph, dict[str, Tensor]]:
    """The graph and the weights of a file that `torch.export.save` wrote. Raises OSError, ValueError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except (zipfile.BadZipFile, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
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
    return json.loads(archive.read(name))


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
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError("its weights are compressed")
    dtype = DTYPES[meta["dtype"]]
    if not math.prod(sizes):
        return torch.empty(sizes, dtype=dtype)
    flat = torch.frombuffer(bytearray(archive.read(name)), dtype=dtype)
    offset = _whole(meta["storage_offset"])
    if (
        offset + sum((size - 1) * step for size, step in zip(sizes, strides, strict=True)) >= len(flat)
        or min(strides, default=0) < 0
    ):
        raise ValueError("a tensor of it is larger than its bytes")
    return flat.as_strided(sizes, strides, offset).clone(memory_format=torch.contiguous_format)
