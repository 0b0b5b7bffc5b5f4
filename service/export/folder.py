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

import numpy as np
import torch

from service.client import RemoteModel
from service.export.model_card import History, model_card
from service.export.onnx_file import check_packages, onnx_answers, onnx_file
from service.export.program import Program, answers, exported, read_file
from service.export.sample_rows import sample_rows

WEIGHTS, PROGRAM, ONNX, CARD = "weights.safetensors", "program.pt2", "program.onnx", "README.md"
CLOSE = 1e-4
"""Largest difference of a score, and of a number as a part of its size or of the spread of the answers: the service
folds layers together and packs them, and rounds in another order."""


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

    Raises FileExistsError for a folder that has files, ProgramDiffers where two do not agree, NoOnnx where
    packages are missing or an operator has no counterpart, and what the client raises.
    """
    _require_free(folder)
    if onnx:
        check_packages()
    facts = model.version(version)
    data = model.weights(facts.number, whole=True)
    checkpoint = read_file(data)
    program = Program(checkpoint)
    rows, inputs = sample_rows(checkpoint, program.kind.added_back)
    prepared = program.prepared(inputs)
    graph = exported(program, prepared[:2])
    file = onnx_file(graph) if onnx else None
    answered = model.predict(rows, version=facts.number, **program.kind.options())
    own = [answers(graph, prepared), *([onnx_answers(file, prepared)] if file is not None else [])]
    difference = float(np.max([program.kind.difference(answered, each) for each in own]))
    allowed = max(CLOSE, program.rounded(prepared))
    if not difference <= allowed:
        raise ProgramDiffers(
            f"The program of version {facts.number} answers up to {difference:.2g} differently from the service on "
            f"{len(rows)} rows; {allowed:.2g} is allowed. Nothing was written. Is the client of the service's release?"
        )
    learned = frozenset(facts.batches)
    history = History(model.lineage(), [batch for batch in model.batches() if batch.id in learned])
    card = model_card(model.info(), facts, history, program, difference, len(rows), onnx)
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
