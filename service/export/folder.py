"""The folder of an exported version: weights, programs and card; and the check that the programs answer alike."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.client import NumberPredictions, RemoteModel
from service.contract.predictions import AnyPredictions
from service.export.model_card import History, model_card
from service.export.onnx_file import onnx_answers, onnx_file
from service.export.program import Program, answers, exported, read_file
from service.export.sample_rows import sample_rows

WEIGHTS, PROGRAM, ONNX, CARD = "weights.safetensors", "program.pt2", "program.onnx", "README.md"
MOST_COLUMNS = 1000
"""Most classes that the service lists of a row: of more, those with the highest scores are compared."""
CLOSE = 1e-4
"""Largest difference of a score, and of a number as a part of its size or of the spread of the answers: the service
folds layers together and packs them, and rounds in another order."""
ROUNDINGS = 16 * 2.0**-23
"""Largest difference of a score as a part of the largest logit, where that is more: float32 holds 24 bits of a logit,
and `lda` on labels of chance has logits of 100,000."""


class ProgramDiffers(Exception):
    """The program does not answer as the service does."""


@dataclass(frozen=True)
class Exported:
    """What was written. `rows`: compared with the service. `difference`: the largest, of a score; of numbers relative
    to their spread."""

    folder: Path
    version: int
    rows: int
    difference: float


def export_version(model: RemoteModel, version: int | str, folder: Path, onnx: bool = False) -> Exported:
    """Asks the service and a program of `torch.export` the same rows, then writes the version as safetensors, as that
    program, and as a model card: beside the folder, which takes its name once it is whole. onnx: also as an ONNX file,
    which onnxruntime is asked for the same rows.

    Raises FileExistsError for a folder that has files, ProgramDiffers where two do not agree, NoOnnx where an operator
    has no counterpart, and what the client raises.
    """
    _require_free(folder)
    facts = model.version(version)
    data = model.weights(facts.number)
    checkpoint = read_file(data)
    program = Program(checkpoint)
    rows, inputs = sample_rows(checkpoint)
    prepared = program.prepared(inputs)
    graph = exported(program, prepared[:2])
    file = onnx_file(graph) if onnx else None
    answered = model.predict(rows, **_whole(program, facts.number))
    own = [answers(graph, prepared), *([onnx_answers(file, prepared)] if file is not None else [])]
    difference = float(np.max([_difference(answered, each, program) for each in own]))
    allowed = max(CLOSE, ROUNDINGS * program.largest_logit(prepared))
    if not difference <= allowed:
        raise ProgramDiffers(
            f"The program of version {facts.number} answers up to {difference:.2g} differently from the service on "
            f"{len(rows)} rows; {allowed:.2g} is allowed. Nothing was written. Is the client of the service's release?"
        )
    learned = frozenset(facts.batches)
    history = History(model.lineage(), [batch for batch in model.batches() if batch.id in learned])
    card = model_card(model.info(), facts, history, checkpoint.layout, difference, len(rows), onnx)
    whole = folder.resolve()
    with _beside(whole) as beside:
        try:
            (beside / WEIGHTS).write_bytes(data)
            torch.export.save(graph, beside / PROGRAM)
            if file is not None:
                (beside / ONNX).write_bytes(file)
            (beside / CARD).write_text(card, encoding="utf-8")
            beside.rename(whole)  # takes the place of an empty folder
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            _require_free(folder)  # another export may have taken the name meanwhile
            raise
    return Exported(folder, facts.number, len(rows), difference)


@contextmanager
def _beside(whole: Path) -> Iterator[Path]:
    """A new hidden folder beside that one, locked while it is written. Those that nobody has locked were left by killed
    exports of that name and are deleted; on Windows, which locks no folders, they stay."""
    beside = whole.with_name(f".{whole.name}.{uuid.uuid4().hex}")
    whole.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        if sys.platform != "win32":
            with _locked(whole.parent):  # what is not locked yet is not taken for left
                for left in whole.parent.glob(f".{escape(whole.name)}.{'[0-9a-f]' * 32}"):
                    with suppress(OSError), _locked(left, wait=False):
                        shutil.rmtree(left, ignore_errors=True)
                beside.mkdir()
                locks.enter_context(_locked(beside))
        else:
            beside.mkdir()
        yield beside


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[None]:
    """Holds a folder alone. Raises BlockingIOError where another process has it and this one does not wait."""
    import fcntl  # not on Windows

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _require_free(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} has files in it. Name another folder.")


def _whole(program: Program, number: int) -> dict[str, Any]:
    """How the service is asked for all that the program answers."""
    numbers = program.grid is not None
    return {"version": number} if numbers else {"version": number, "top": min(len(program.names), MOST_COLUMNS)}


def _difference(answer: AnyPredictions, own: NDArray[np.float64], program: Program) -> float:
    """The largest difference between what the service and what the program answered; NaN where either is no number."""
    if isinstance(answer, NumberPredictions):
        values = np.array(answer.values, np.float64).reshape(own.shape)
        size = np.maximum(np.abs(values), np.ptp(values, axis=0))
        return float(np.max(np.abs(values - own) / np.where(size > 0, size, 1.0)))
    place = {name: k for k, name in enumerate(program.names)}
    shares = [(row, share) for row, prediction in enumerate(answer.predictions) for share in prediction.top]
    return float(np.max([abs(share.score - float(own[row, place[share.class_]])) for row, share in shares]))
