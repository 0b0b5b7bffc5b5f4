"""A version as an ONNX file: the exported program in operators that runtimes of many languages and machines have.

The packages of the extra `onnx` are imported here alone.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

INPUT, OUTPUT = "rows", "answers"
LACKING = "An ONNX file needs packages that are not here. Install them: pip install -e '.[onnx]'."


class NoOnnx(Exception):
    """The version cannot be an ONNX file. The sentence names what is in the way."""


def check_packages() -> None:
    """Raises NoOnnx, which says what to install, where the packages are not here: before anything is made."""
    if any(importlib.util.find_spec(name) is None for name in ("onnxscript", "onnxruntime")):
        raise NoOnnx(LACKING)


def onnx_file(program: ExportedProgram) -> bytes:
    """The program as an ONNX file, for any number of rows. Raises NoOnnx, which names the operator that has none."""
    try:
        from onnxscript import opset20
    except ImportError:
        raise NoOnnx(LACKING) from None
    op: Any = opset20  # its types do not know that numbers become tensors

    def isin(elements: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Any:
        """torch.isin, which the exporter lacks. [n], [values] -> [n]"""
        alike = op.Equal(op.Unsqueeze(elements, [-1]), test_elements)
        return op.Cast(op.ReduceMax(op.Cast(alike, to=INT32), [-1], keepdims=0), to=BOOL)

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of its steps, and uses what torch gives up
            made = torch.onnx.export(
                program,
                (),
                input_names=[INPUT],
                output_names=[OUTPUT],
                custom_translation_table={torch.ops.aten.isin.Tensor_Tensor: isin},
            )
    except torch.onnx.OnnxExporterError as error:
        raise NoOnnx(_why(error)) from error
    assert made is not None
    data: bytes = made.model_proto.SerializeToString()
    return data


INT32, BOOL = 6, 9
"""Types of ONNX."""


def onnx_answers(data: bytes, rows: Tensor) -> NDArray[np.float64]:
    """What onnxruntime answers by the file. [n, columns]. Raises NoOnnx where it cannot run the file."""
    try:
        import onnxruntime
    except ImportError:
        raise NoOnnx(LACKING) from None
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return np.asarray(session.run([OUTPUT], {INPUT: rows.numpy()})[0], np.float64)
    except Exception as error:  # onnxruntime has classes of its own for each of its statuses, all plain Exceptions
        raise NoOnnx(f"onnxruntime cannot run this version: {_line(error)}") from error


def _why(error: BaseException) -> str:
    """What was in the way, in the words of the deepest of the errors that caused one another."""
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    return f"This version cannot be an ONNX file: {_line(deepest)}"


def _line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
