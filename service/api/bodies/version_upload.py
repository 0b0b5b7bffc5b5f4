"""The upload of a version that was trained elsewhere: a file, and its description, become a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.api.preconditions import check_architecture
from service.api.validation import invalid
from service.contract.body_limits import MOST_DEPTH
from service.contract.enums import ENTRY, FORM_DATA, LEFT_OUT
from service.contract.inputs import Architecture, InputSpec, PretrainedBackbone, Scale, TextInput
from service.contract.names import MOST_CLASSES, clean_class_name
from service.errors import BrokenJSON, InvalidContent
from service.intake.formats.multipart import read_parts
from service.intake.formats.safetensors_file import Weights, read_weights
from service.intake.json_body import MODEL_VALUES, MOST_MEMBERS, check_depth, check_few, read_value
from service.intake.kinds.labels import text_of
from service.learning.backbones import admission, starting_weights
from service.learning.backbones.extractor import SharedWeights
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.imported import Foreign, imported
from service.learning.network.input_scale import InputScale, declared_scale
from service.remedies import MERGE, UNKNOWN, WHOLE_FILE

BACKBONE = "backbone.0"
"""The part that holds the weights of a pretrained backbone."""
MEMBERS = ("architecture", "classes", "scale")
"""What is sent beside the weights, each as JSON: in the metadata of the file, or as parts of a multipart body."""
SCALE: TypeAdapter[Scale] = TypeAdapter(Scale)
OF_NUMBERS = (
    "The file is of a version that predicts numbers, and only versions with classes are taken in. A model of numbers "
    f"that is declared alike takes what it learned as sums: {MERGE(model=UNKNOWN)}."
)
MOST_MEMBER_BYTES = 4 * 2**20
"""Of each of them: the names of as many classes as a model may have are half of it."""
MOST_NAMES = 100_000
"""Members of all objects in the metadata: an exported version that grew often has thousands of blocks."""


def read_import(
    data: bytes, content_type: str, spec: InputSpec, files: Mapping[str, str], depth: int = MOST_DEPTH
) -> Checkpoint:
    """The version that a body holds, for a model of such inputs. `files`: weights of backbones that the operator named.
    depth: of lists and objects in what is sent beside the weights.

    Raises InvalidContent with a pointer: /weights is the file, the others are as `MEMBERS`.
    """
    file, parts = _parts(data, content_type)
    weights = read_weights(file)
    texts = {**{name: weights.metadata[name] for name in MEMBERS if name in weights.metadata}, **parts}
    values = {name: _json(text, name, depth) for name, text in texts.items()}
    exported = _json(weights.metadata[ENTRY], ENTRY, MOST_DEPTH) if ENTRY in weights.metadata else None
    layout = None
    if "architecture" not in values:
        if not isinstance(exported, dict) or not isinstance(exported.get("layout"), dict):
            raise InvalidContent.at(
                "/architecture",
                'The file does not say what it is. Add to its metadata "architecture": {"backbone": {"name": ...}} '
                'and "classes": [...]; or send what GET .../weights gave.',
            )
        layout = exported["layout"]
        if layout.get("numbers") is not None:
            raise InvalidContent.at("/weights", OF_NUMBERS)
        values.setdefault("classes", exported.get("classes"))
    foreign = Foreign(
        tensors=weights.tensors,
        classes=_classes(values.get("classes")),
        layout=layout,
        architecture=_architecture(values["architecture"], spec, weights, files) if layout is None else None,
        scale=_scale(values["scale"], spec) if "scale" in values else None,
    )
    if layout is not None:
        _architecture(
            {"backbone": layout.get("backbone", {})}, spec, weights, files
        )  # refuses what cannot be used here
    digest = _left_out(exported)

    def shared_weights(backbone: PretrainedBackbone) -> SharedWeights:
        local = starting_weights(backbone, files)
        if digest is not None and local.digest != digest:
            raise InvalidContent.at(
                "/weights",
                f"The file leaves out the weights of {backbone.name} (SHA-256 {digest[:16]}…), and those that are here "
                f"are others ({local.digest[:16]}…). {WHOLE_FILE()}.",
            )
        return local

    return imported(foreign, spec, shared_weights)


def _left_out(exported: Any) -> str | None:
    """The digest of a backbone's weights that an exported file names in place of holding them."""
    left_out = exported.get(LEFT_OUT) if isinstance(exported, dict) else None
    digest = left_out.get(BACKBONE) if isinstance(left_out, dict) else None
    return digest if isinstance(digest, str) else None


def _parts(data: bytes, content_type: str) -> tuple[bytes, dict[str, str]]:
    """-> the file, and the texts of the other parts by name. Raises InvalidContent."""
    if content_type.partition(";")[0].strip().lower() != FORM_DATA:
        return data, {}
    parts = read_parts(data, content_type)
    if "weights" not in parts:
        raise InvalidContent.at("/weights", 'There is no part "weights": the safetensors file.')
    file = parts.pop("weights")
    if extra := sorted(parts.keys() - set(MEMBERS)):
        raise InvalidContent.at("", f"{extra[0][:100]} is not known here. Known are weights, {', '.join(MEMBERS)}.")
    for name, part in parts.items():
        if len(part) > MOST_MEMBER_BYTES:
            raise InvalidContent.at(f"/{name}", f"{name} is over {MOST_MEMBER_BYTES:,} bytes.")
    return file, {name: part.decode("utf-8", "replace") for name, part in parts.items()}


def _json(text: str, name: str, depth: int) -> Any:
    """The JSON value that was sent as `name`. Raises InvalidContent."""
    data, at = text.encode("utf-8", "replace"), f"/{name}"
    try:
        value = read_value(data, at, MOST_NAMES if name == ENTRY else MOST_MEMBERS)
        check_depth(data, value, depth)
        if name != ENTRY:
            check_few(data, value, at, values=MODEL_VALUES)
        return value
    except BrokenJSON as error:
        raise InvalidContent.at(f"/{name}", error.detail.replace("The body", name, 1)) from None


def _classes(names: Any) -> list[str]:
    """The columns, in order: names as they enter the vocabulary. Raises InvalidContent."""
    if not isinstance(names, list) or not names:
        raise InvalidContent.at("/classes", 'classes is missing: the name of each column, in order, ["...", ...].')
    if len(names) > MOST_CLASSES:
        raise InvalidContent.at(
            "/classes", f"A model has at most {MOST_CLASSES:,} classes, and here are {len(names):,}."
        )
    cleaned: dict[str, int] = {}
    for k, name in enumerate(names):
        at = f"/classes/{k}"
        clean = clean_class_name(text_of(name, at), at)
        if clean in cleaned:
            raise InvalidContent.at(at, f'"{clean}" is the name of column {cleaned[clean] + 1} already.')
        cleaned[clean] = k
    return list(cleaned)


def _architecture(value: Any, spec: InputSpec, weights: Weights, files: Mapping[str, str]) -> Architecture:
    """{"backbone": {...}}, or the backbone alone. Raises InvalidContent."""
    whole = value if isinstance(value, dict) and ("backbone" in value or not value) else {"backbone": value}
    try:
        architecture = Architecture.model_validate(whole)
    except ValidationError as error:
        fault = invalid(error.errors(include_url=False), whole, Architecture)
        raise InvalidContent(
            fault.detail, [("/architecture" + at, sentence) for at, sentence in fault.errors]
        ) from None
    sent = any(name.startswith((f"{BACKBONE}/", f"{BACKBONE}.")) for name in weights.tensors)
    if isinstance(architecture.backbone, PretrainedBackbone) and sent:
        admission.check(spec, architecture.backbone, files, weights=False)
        return architecture
    return check_architecture(spec, architecture, files)


def _scale(value: Any, spec: InputSpec) -> InputScale | None:
    """A scale as a model declares one. Raises InvalidContent."""
    if isinstance(spec, TextInput):
        raise InvalidContent.at("/scale", "Texts have no scale. Leave it out.")
    try:
        scale = SCALE.validate_python(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        reason = next((f": {fault['ctx']['error']}" for fault in faults if fault["type"] == "value_error"), "")
        sentence = f'scale is {{"range": [lo, hi]}} or {{"mean": ..., "std": ...}}{reason}.'
        raise InvalidContent.at("/scale", sentence) from None
    return declared_scale(spec.model_copy(update={"scale": scale}))
