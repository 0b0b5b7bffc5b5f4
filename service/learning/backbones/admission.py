"""Checks whether a backbone can be used here, when a model is made and again when an update of it is claimed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from safetensors import SafetensorError, safe_open

from service.contract.inputs import ImageInput, InputSpec, MomentsScale, PretrainedBackbone
from service.errors import InvalidContent
from service.learning.backbones import (
    FAMILIES,
    SETTING,
    facts,
    family,
    file_of,
    installing,
    load,
    missing_code,
    native_side,
    pinned,
    pretrained,
    resolved,
    skeleton,
)
from service.learning.backbones.family import Family
from service.learning.wording import reason

POINTER = "/architecture/backbone"


def check(
    spec: InputSpec, backbone: PretrainedBackbone, files: Mapping[str, str], *, weights: bool = True
) -> PretrainedBackbone:
    """The backbone by the name that versions know it by. Raises InvalidContent, with the reason and what would work,
    where such inputs cannot have it here.

    `files`: of weights, as the operator named them. Without `weights` they are not looked for: a version brings them.
    """
    made_by = family(backbone.name)
    if spec.kind != made_by.kind:
        raise _refused(
            f'The backbone "{_short(backbone.name)}" takes {made_by.kind}s, and the input of this model is of kind '
            f'"{spec.kind}". {_for_kind(spec.kind, files)}'
        )
    if lacking := missing_code(backbone.name):
        raise _refused(lacking)
    if isinstance(spec, ImageInput):
        _check_image(spec, backbone)
    elif backbone.side is not None:
        raise InvalidContent.at(f"{POINTER}/side", "A side is of images; this backbone takes texts. Leave it out.")
    if not weights:
        _check_name(backbone.name, files)
        return backbone
    _check_weights(backbone, made_by, files)
    if made_by.learn is not None:
        backbone = resolved(spec, pinned(backbone, files))
    _check_side(spec, backbone)
    if made_by.check_rows is not None:
        _check_rows(backbone, made_by, files)
    return backbone


def _check_image(spec: ImageInput, backbone: PretrainedBackbone) -> None:
    if spec.channels not in (1, 3):
        raise InvalidContent.at(
            "/input/channels",
            f'The backbone "{_short(backbone.name)}" takes 3 channels (red, green, blue) or 1 (grey), not '
            f"{spec.channels}. Leave the others out, or use the backbone identity or cnn.",
        )
    if isinstance(spec.scale, MomentsScale):
        raise InvalidContent.at(
            "/input/scale",
            f'The backbone "{_short(backbone.name)}" brings its own mean and std; it needs to know the range of the '
            'pixels. Declare {"range": [lo, hi]}, or leave the scale out for [0, 255].',
        )


def _check_weights(backbone: PretrainedBackbone, made_by: Family, files: Mapping[str, str]) -> None:
    name = backbone.name
    file = file_of(name, files)
    if file is None and made_by.package is not None:
        if find_spec(made_by.package.module) is None:
            raise _refused(f'The weights of "{name}" are not installed here. Install them: {installing(made_by)}')
        return
    _check_name(name, files)
    if file is None:
        raise _refused(
            f'The weights of "{_short(name)}" are not here. With weights there are: {_named(files)}. Whoever runs the '
            f"service can name a file: {SETTING}={made_by.called(name)}=/path/to/{made_by.example}"
        )
    try:
        _check_file(backbone, file)
    except NotImplementedError as error:
        raise _refused(
            f'"{_short(name)}" cannot be used here: {reason(error)}. With weights there are: {_named(files)}.'
        ) from error
    except (OSError, SafetensorError, ValueError) as error:
        raise _refused(
            f'The weights of "{_short(name)}" that {SETTING} names cannot be used: {reason(error)}. Whoever runs the '
            f"service can name another file. With weights there are: {_named(files)}."
        ) from error


def _check_name(name: str, files: Mapping[str, str]) -> None:
    if not family(name).exists(name):  # imports its library
        raise _refused(
            f'There is no backbone "{_short(name)}". Built in are identity, mlp and cnn; pretrained ones with weights '
            f"here: {_named(files)}."
        )


def _check_file(backbone: PretrainedBackbone, path: str) -> None:
    """Checks by its header that a file has every tensor in its shape. Raises OSError, SafetensorError, ValueError."""
    if family(backbone.name).read_file is not None:
        pretrained(backbone, files={family(backbone.name).called(backbone.name): path})
        return
    wanted = skeleton(backbone.name, None).body.state_dict()
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        for name, tensor in wanted.items():
            if name not in names and not name.endswith("num_batches_tracked"):
                raise ValueError(f"it has no tensor {name}")
            if name in names and list(file.get_slice(name).get_shape()) != list(tensor.shape):
                raise ValueError(f"its tensor {name} has another shape")


def _check_side(spec: InputSpec, backbone: PretrainedBackbone) -> None:
    if not isinstance(spec, ImageInput):
        return
    try:
        facts(resolved(spec, backbone))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InvalidContent.at(
            f"{POINTER}/side",
            f'The backbone "{_short(backbone.name)}" cannot work on {backbone.side} x {backbone.side} pixels '
            f"({reason(error)}). Leave the side out: it then takes {native_side(backbone.name, spec)}.",
        ) from error


def _check_rows(backbone: PretrainedBackbone, made_by: Family, files: Mapping[str, str]) -> None:
    assert made_by.check_rows is not None
    try:
        made_by.check_rows(load(backbone, pretrained(backbone, files)))
    except (RuntimeError, ValueError) as error:
        raise _refused(f'The program "{_short(backbone.name)}" cannot be used: {reason(error)}.') from error


def _installed(files: Mapping[str, str]) -> list[str]:
    """Backbones whose weights and code are installed."""
    packages = [record.package for record in FAMILIES if record.package is not None]
    installed = [package.backbone for package in packages if find_spec(package.module)]
    return [name for name in dict.fromkeys([*installed, *files]) if missing_code(name) is None]


def _named(files: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({family(name).kind}s)" for name in _installed(files)) or "none"


def _for_kind(kind: str, files: Mapping[str, str]) -> str:
    fit = [name for name in _installed(files) if family(name).kind == kind]
    if kind != "text":
        fit = ["identity", "mlp", *(["cnn"] if kind == "image" else []), *fit]
    return f"Use {' or '.join(fit)}." if fit else "No backbone for such inputs is installed here."


def _refused(sentence: str) -> InvalidContent:
    return InvalidContent.at(f"{POINTER}/name", sentence)


def _short(name: str) -> str:
    return name[:100]
