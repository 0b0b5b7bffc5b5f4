"""The body of a prediction as MLflow's scoring server takes it, as the native body that asks the same.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally: JSON with one of `dataframe_split`,
`dataframe_records`, `instances` and `inputs`. As pandas writes them, NaN stands for what is missing. (A CSV file is one
for either.)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from service.contract.body_limits import MOST_DEPTH
from service.contract.inputs import InputSpec, places_of
from service.errors import BrokenJSON, InvalidContent
from service.guessing.numbering import lacks_columns, what_is_missing
from service.intake.json_body import ROWS, check_depth

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
PARAMS = ("source",)
"""Members of `params` that a prediction knows."""


def native_body(data: bytes, spec: InputSpec, depth: int = MOST_DEPTH) -> bytes:
    """The body of JSON that asks the same. depth: of lists and objects in it. Raises BrokenJSON, InvalidContent."""
    body = _read(data, depth)
    named = [name for name in FORMATS if name in body]
    if len(named) != 1:
        raise InvalidContent(f"Send JSON with one of {', '.join(FORMATS)}, or text/csv.")
    [name] = named
    return _json({ROWS: _shaped(_rows(body[name], name), spec), **_params(body.get("params"))})


def predictions_alone(answer: bytes) -> bytes:
    """The native answer -> {"predictions": [...]}: a class, a number or a list of numbers a row."""
    rows = json.loads(answer)["predictions"]
    names = ("class", "value", "values")
    return _json({"predictions": [next(row[name] for name in names if name in row) for row in rows]})


def _read(data: bytes, depth: int) -> dict[str, Any]:
    try:
        body = json.loads(data, parse_constant=_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise BrokenJSON(f"The body is not JSON: {str(error)[:200]}.") from None
    if not isinstance(body, dict):
        raise InvalidContent(f"The body is a JSON object with one of {', '.join(FORMATS)}.")
    check_depth(data, body, depth)
    return body


def _constant(word: str) -> None:
    """NaN is what pandas has for a missing cell."""
    if word != "NaN":
        raise ValueError(f"{word} is no number that is taken")


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises InvalidContent for a member that is there twice, of which another reader may take the other."""
    read = dict(members)
    if len(read) < len(members):
        raise _twice([name for name, _ in members], "")
    return read


def _twice(names: Sequence[str], pointer: str) -> InvalidContent:
    name = Counter(names).most_common(1)[0][0]
    return InvalidContent.at(pointer, f'"{name[:100]}" is there twice. Send it once.')


def _rows(value: Any, name: str) -> list[Any]:
    """Rows as lists, or as objects where columns have names."""
    if name == "dataframe_split":
        if not isinstance(value, dict) or not isinstance(value.get("data"), list):
            raise InvalidContent.at(f"/{name}", 'Send {"columns": [...], "data": [[...], ...]}.')
        rows, columns = value["data"], value.get("columns")
        return rows if columns is None else [_named(columns, row, f"/{name}/data/{k}") for k, row in enumerate(rows)]
    if isinstance(value, dict) and name != "dataframe_records":
        columns = list(value)
        cells = [cells if isinstance(cells, list) else [cells] for cells in value.values()]
        if len({len(column) for column in cells}) > 1:
            raise InvalidContent.at(f"/{name}", "Each column has as many values as the others.")
        return [_named(columns, row, f"/{name}") for row in zip(*cells, strict=True)]
    if not isinstance(value, list):
        raise InvalidContent.at(f"/{name}", "A list of rows is due here.")
    return value


def _named(columns: Any, row: Any, pointer: str) -> dict[str, Any]:
    if not isinstance(columns, list) or not isinstance(row, Sequence) or len(row) != len(columns):
        raise InvalidContent.at(pointer, "A row has a value for each of columns.")
    named = dict(zip(map(str, columns), row, strict=True))
    if len(named) < len(columns):
        raise _twice([*map(str, columns)], pointer)
    return named


def _shaped(rows: list[Any], spec: InputSpec) -> list[Any]:
    """Rows as the model takes them: where its columns have names, rows keep theirs; those of others have columns in
    their order. Raises InvalidContent where a numbered column of a vector is missing and another stands in its
    place."""
    if spec.kind == "table":
        return rows
    if places_of(spec):
        return [_cells(row, alone=True) if _is_tensor(row) else row for row in rows]
    if (
        spec.kind == "vector"
        and isinstance(rows[0] if rows else None, Mapping)
        and lacks_columns([*rows[0]], spec.size)
    ):
        takes = f"A row has {spec.size:,} numbers, and there are {len(rows[0]):,} columns."
        raise InvalidContent.at(f"/{ROWS}", f"{takes} {what_is_missing([*rows[0]], spec.size)}")
    if spec.kind == "image":
        return [_only_value(row) if _is_tensor(row) else row for row in rows]
    alone = spec.kind == "text" or any(map(_is_tensor, rows[:1]))
    return [_cells(row, alone) for row in rows]


def _cells(row: Any, alone: bool) -> Any:
    """The cells of a row in their order; with `alone` the only one of a row that has one."""
    cells = list(row.values()) if isinstance(row, Mapping) else row
    return cells[0] if alone and isinstance(cells, list) and len(cells) == 1 else cells


def _is_tensor(row: Any) -> bool:
    """Whether a row is one named tensor, and no {"png": base64}."""
    return isinstance(row, Mapping) and len(row) == 1 and isinstance(_only_value(row), list)


def _only_value(row: Mapping[str, Any]) -> Any:
    return next(iter(row.values()))


def _params(params: Any) -> dict[str, Any]:
    """Members of a native body. Raises InvalidContent."""
    if params is None:
        return {}
    for name in params if isinstance(params, dict) else ("",):
        if name not in PARAMS:
            raise InvalidContent.at(f"/params/{name[:100]}", f"params takes {', '.join(PARAMS)} alone.")
    return dict(params)


def _json(value: Any) -> bytes:
    """Raises InvalidContent for a number beyond a double."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    except ValueError:
        raise InvalidContent("A number is beyond what a double holds. Send finite numbers.") from None
