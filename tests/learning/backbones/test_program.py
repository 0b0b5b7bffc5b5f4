"""A program of torch.export as a backbone: it computes the same, and can do nothing but compute."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from service.contract.inputs import Architecture, ImageInput, PretrainedBackbone
from service.errors import InvalidContent, MethodRefused
from service.learning import backbones
from service.learning.backbones import admission, program
from service.learning.backbones.program_graph import read_archive, unpacked
from service.learning.methods import METHODS
from service.learning.update_data import Setting
from tests.learning.backbones.weight_files import classifier

IMAGE = ImageInput(kind="image", channels=3, height=16, width=16)
ANY = PretrainedBackbone(name="program/mynet")


class Net(nn.Module):
    """Uses what exported networks use: views with sizes of the batch, in-place steps, lists, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.register_buffer("places", torch.randn(1, 49, 8))
        self.norm.running_mean.normal_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(self.norm(self.conv(x)).relu_(), training=self.training)
        n, c, h, w = x.shape
        tokens = x.reshape(n, c, h * w).transpose(1, 2) + self.places
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        first, second = tokens.chunk(2, dim=2)
        return torch.cat([first.mean(1), second.amax(1)], 1)


def written(folder: Path, net: nn.Module | None = None, dynamic: bool = True, **options: Any) -> Path:
    """A file of torch.export.save."""
    torch.manual_seed(0)
    exported = torch.export.export(
        (net or Net()).train(options.get("trains", False)),
        (torch.rand(2, options.get("channels", 3), 16, 16),),
        dynamic_shapes=({0: Dim.DYNAMIC},) if dynamic else None,
    )
    path = folder / "mynet.pt2"
    torch.export.save(exported, path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("program"))


def named(file: Path) -> dict[str, str]:
    return {"program/mynet": str(file)}


@pytest.fixture(scope="module")
def checked(file: Path) -> PretrainedBackbone:
    return admission.check(IMAGE, ANY, named(file))


def test_it_computes_what_the_exported_network_does(file: Path, checked: PretrainedBackbone) -> None:
    extractor = backbones.load(checked, backbones.pretrained(checked, named(file)))
    x = torch.rand(5, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        expected = torch.export.load(file).module()((x + 1) / 2)
        assert torch.allclose(extractor(x), expected, atol=1e-6)
    assert (extractor.width, extractor.side) == (8, 16)
    assert extractor.multiply_adds > 8 * 49 * 27


@pytest.mark.long
def test_a_network_of_torchvision_gives_the_same_as_its_architecture(tmp_path: Path) -> None:
    net = classifier("resnet18")
    net.fc = nn.Identity()
    path = written(tmp_path, net)
    backbone = admission.check(IMAGE, PretrainedBackbone(name="program/r18"), {"program/r18": str(path)})
    extractor = backbones.load(backbone, backbones.pretrained(backbone, {"program/r18": str(path)}))
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(extractor(x), net((x + 1) / 2), atol=1e-5)


def test_its_name_says_which_program_it_is(file: Path, checked: PretrainedBackbone, tmp_path: Path) -> None:
    graph, _ = read_archive(file)
    assert checked.name == f"program/mynet.{graph.digest}"
    assert admission.check(IMAGE, checked, named(file)) == checked
    other = written(tmp_path, nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(InvalidContent, match="another program than the one that the model was made with"):
        admission.check(IMAGE, checked, named(other))
    with pytest.raises(MethodRefused, match="another program"):
        backbones.starting_weights(checked, named(other))


def test_a_version_carries_it_to_where_no_file_is(
    file: Path, checked: PretrainedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = dict(backbones.pretrained(checked, named(file)))
    backbones.skeleton.cache_clear()
    backbones.facts.cache_clear()
    monkeypatch.setattr(program, "_graphs", {})
    extractor = backbones.load(checked, weights)
    assert extractor(torch.zeros(2, 3, 16, 16)).shape == (2, 8)
    monkeypatch.setattr(program, "_graphs", {})
    assert backbones.resolved(IMAGE, ANY.model_copy(update={"name": checked.name}), weights) == checked
    with pytest.raises((RuntimeError, ValueError), match="program"):
        backbones.load(checked, {k: t for k, t in weights.items() if k != program.GRAPH})


@pytest.mark.long
def test_programs_that_are_no_backbones_are_refused(tmp_path: Path) -> None:
    for options, why in [
        ({"dynamic": False}, "was exported for 2 rows alone"),
        ({"trains": True}, "it trained: call .eval|drops answers at random|writes to its own weights|known here"),
        ({"net": nn.Conv2d(1, 4, 3), "channels": 1}, r"must take images \[n, 3, h, w\]"),
        ({"net": nn.Conv2d(3, 4, 3)}, "a vector of features is due"),
        ({"net": nn.Sequential(nn.Flatten(), nn.Linear(768, 5000))}, "5,000 features"),
    ]:
        path = written(tmp_path, **options)
        with pytest.raises(InvalidContent, match=why):
            admission.check(IMAGE, ANY, named(path))


def changed(file: Path, to: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A copy of the archive with other entries."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return to


class Bomb:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled_and_nothing_is_evaluated(file: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def pickled(name: str, data: bytes) -> bytes:
        if "sample_inputs" in name:
            return pickle.dumps(Bomb(mark))
        if name.endswith("model.json"):
            whole = json.loads(data)
            whole["guards_code"] = [f"__import__('pathlib').Path({str(mark)!r}).touch()"]
            return json.dumps(whole).encode()
        return data

    path = changed(file, tmp_path / "bomb.pt2", pickled)
    assert admission.check(IMAGE, ANY, named(path)).name.startswith("program/mynet.")
    assert not mark.exists()

    def weight(name: str, data: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            return data.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
        return pickle.dumps(Bomb(mark)) if name.endswith("weight_0") else data

    with pytest.raises(InvalidContent, match="nothing is unpickled here"):
        admission.check(IMAGE, ANY, named(changed(file, tmp_path / "weight.pt2", weight)))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("torch.ops.aten.conv2d.default", "torch.ops.aten.from_file.default"),
        ("torch.ops.aten.conv2d.default", "torch.ops.prims.device_put.default"),
        ("torch.ops.aten.conv2d.default", "os.system"),
        ("torch.ops.aten.conv2d.default", "torch.ops.aten.conv2d.default.__class__"),
        ("torch.ops.aten.conv2d.default", "torch.ops.aten.conv2d.no_such_overload"),
        ('"as_ints": [2, 2]', '"as_graph": {"name": "x", "graph": {}}'),
        ('"as_ints": [2, 2]', '"as_ints": ["2", 2]'),
        ('"name": "input", "arg"', '"name": "no_such_argument", "kind_": 0, "arg"'),
    ],
)
def test_graphs_that_were_tampered_with_are_refused(old: str, new: str, file: Path, tmp_path: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("model.json"):
            return data
        assert old.encode() in data
        return data.replace(old.encode(), new.encode(), 1)

    path = changed(file, tmp_path / "other.pt2", change)
    if "no_such_argument" in new:  # by position its name says nothing
        path = changed(path, tmp_path / "named.pt2", lambda n, d: d.replace(b'"kind": 1', b'"kind": 2', 1))
    with pytest.raises(InvalidContent, match="cannot be used"):
        admission.check(IMAGE, ANY, named(path))


def test_a_step_that_takes_much_memory_is_refused(file: Path) -> None:
    graph, weights = read_archive(file)
    huge = json.loads(graph.packed())
    huge[3].append(["torch.ops.aten.zeros.default", [["size", True, "as_ints", [2**40]]], ["much"]])
    weights[program.GRAPH] = torch.frombuffer(bytearray(json.dumps(huge).encode()), dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"hold 4,398,[0-9,]+ bytes at once for 16 images"):
        program.learn(weights)


ROW = ["row", True, "as_tensor", "x"]
FLAT = ["torch.ops.aten.flatten.using_ints", [ROW, ["", True, "as_int", 1]], ["y"]]


def step(target: str, *given: tuple[str, Any], result: str = "z", **named: tuple[str, Any]) -> list[Any]:
    """A step of a graph. Arguments by position have names that say nothing."""
    arguments = [["", True, *pair] for pair in given] + [[name, False, *pair] for name, pair in named.items()]
    return [target, arguments, [result]]


WEIGHT, VIEW, ONE = ("as_tensor", "w"), ("as_tensor", "v"), ("as_int", 1)
NOTHING, EPS = ("as_none", None), ("as_float", 0.1)
VIEWED = step("torch.ops.aten.view.default", WEIGHT, ("as_ints", [3, 1]), result="v")
MOMENTS = [("as_tensor", "x"), NOTHING, NOTHING, WEIGHT, WEIGHT, ("as_bool", True), EPS, EPS, ("as_bool", False)]
SQUARES = [step("_operator.mul", *[("as_sym_int", f"n{k}")] * 2, result=f"n{k + 1}") for k in range(40)]
MANY = [step("torch.ops.aten.zeros.default", ("as_ints", [2**28]), result=f"z{k}") for k in range(3)]
POOL = step("torch.ops.aten.max_pool2d.default", ("as_tensor", "x"), ("as_ints", [512, 512]), ONE, ("as_int", 256))


def test_graphs_that_do_more_than_give_features_are_refused() -> None:
    weight = torch.ones(3)
    for steps, why in [
        ([step("torch.ops.aten.mish.__setattr__", ("as_string", "default"), ("as_string", "x"))], "has no operator"),
        ([step("torch.ops.aten.mish.__reduce_ex__", ("as_int", 4))], "has no operator"),
        ([step("torch.ops.aten.add.out", WEIGHT, WEIGHT, out=WEIGHT)], "writes to its argument out"),
        ([VIEWED, step("torch.ops.aten.add_.Tensor", VIEW, VIEW)], "writes to its own weights"),
        ([VIEWED, step("torch.ops.aten.squeeze_.default", VIEW)], "writes to its own weights"),
        ([step("torch.ops.aten.batch_norm.default", *MOMENTS)], "it was exported while it trained"),
        ([step("torch.ops.aten.instance_norm.default", *MOMENTS)], "it was exported while it trained"),
        ([step("torch.ops.aten.dropout.default", WEIGHT, EPS, ("as_int", 1))], "it was exported while it trained"),
        ([step("torch.ops.aten.div.Scalar_mode", WEIGHT, ONE, rounding_mode=("as_string", "trunc"))], "fraction"),
        ([step("_operator.floordiv", ONE, ("as_int", 0))], "division or modulo by zero"),
        ([step("_operator.mul", ("as_string", "a"), ("as_int", 10**12))], "is no size"),
        ([step("_operator.add", ONE, ("as_int", 9), result="n0"), *SQUARES], "is no size"),
        ([*MANY, step("torch.ops.aten.cat.default", ("as_tensors", ["z0", "z1", "z2"]))], "bytes at once for 16"),
        ([POOL] * 5, "work through more than"),
        ([step("torch.ops.aten.linalg_norm.ord_str", WEIGHT, ("as_string", "nuc"))], "norm of matrices"),
    ]:
        graph = ["x", [64, 64], [["w", "weight", [3], 7]], [*steps, FLAT], "y"]
        weights = {
            "weight": weight,
            program.GRAPH: torch.frombuffer(bytearray(json.dumps(graph).encode()), dtype=torch.uint8),
        }
        with pytest.raises(ValueError, match=why):
            program.learn(weights)
        assert torch.equal(weight, torch.ones(3)), steps


class Half(nn.Module):
    """Works in half precision, sets parts of a tensor, and norms instances by their own moments."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3).half(), nn.InstanceNorm2d(8, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.interpolate(x, (12, 12), mode="bilinear", antialias=True)
        y = self.norm(self.conv(x.half()).float())
        y[:, 0] = 0
        y[:, 1:2] = y[:, 2:3]
        return y.masked_fill(y < 0, 0.5).mean((2, 3))


def test_half_precision_and_parts_that_are_set_come_through(tmp_path: Path) -> None:
    path = written(tmp_path, Half())
    backbone = admission.check(IMAGE, ANY, named(path))
    extractor = backbones.load(backbone, backbones.pretrained(backbone, named(path)))
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        assert torch.equal(extractor(x), torch.export.load(path).module()((x + 1) / 2))


class Mixes(nn.Module):
    """Takes the mean of a batch from each of its rows."""

    def forward(self, x: Tensor) -> Tensor:
        features = x.flatten(1)[:, :8]
        return features - features.mean(0, keepdim=True)


class Looks(nn.Module):
    """Looks something up in a table by what the pixels are, which bright images are beyond."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.table((x.mean((1, 2, 3)) * 5).long())


def test_a_program_that_mixes_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidContent, match="depend on the other images of a batch"):
        admission.check(IMAGE, ANY, named(written(tmp_path, Mixes())))


def test_a_step_that_some_images_are_nothing_for_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, Looks())
    backbone = admission.check(IMAGE, ANY, named(path))
    extractor = backbones.load(backbone, backbones.pretrained(backbone, named(path)))
    assert extractor(torch.zeros(2, 3, 16, 16)).shape == (2, 8)
    with pytest.raises(InvalidContent, match=r"The step aten.embedding.default of the program cannot work .* range"):
        extractor(torch.ones(2, 3, 16, 16))


def test_bytes_that_are_no_graph_are_refused() -> None:
    for data in [b"", b"[]", b"{}", b"[1,2,3,4,5]", b"\xff", b"[" * 100_000, b'["x",null,[],[["a"]],"y"]']:
        with pytest.raises(ValueError, match="its graph is no program"):
            unpacked(data)


def test_files_that_are_no_archives_are_refused_without_their_path(tmp_path: Path) -> None:
    nonsense, empty = tmp_path / "a.pt2", tmp_path / "b.pt2"
    nonsense.write_bytes(b"nonsense")
    with zipfile.ZipFile(empty, "w"):
        pass
    for path in (nonsense, empty, tmp_path / "gone.pt2"):
        with pytest.raises(InvalidContent, match="cannot be used") as refused:
            admission.check(IMAGE, ANY, named(path))
        assert str(tmp_path) not in refused.value.detail


def test_rows_have_the_same_bits_whatever_their_company(file: Path, checked: PretrainedBackbone) -> None:
    extractor = backbones.load(checked, backbones.pretrained(checked, named(file)))
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (16, 3, 16, 16)).astype(np.float32))
    with torch.no_grad():
        assert torch.equal(extractor(x)[3:4], extractor(torch.roll(x, 2, 0))[5:6])


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [("replay", {"unfreeze": 1}, "unfreeze"), ("ewc", {"unfreeze": "all"}, "unfreeze"), ("lora", {}, "name")],
)
def test_it_stands_still(name: str, params: dict[str, Any], field: str, checked: PretrainedBackbone) -> None:
    method = METHODS[name]
    setting = Setting(IMAGE, Architecture(backbone=checked))
    refusal = method.refusal(setting, method.Params.model_validate(params))
    assert refusal[0] == field
    assert "program of torch.export" in refusal[1]
