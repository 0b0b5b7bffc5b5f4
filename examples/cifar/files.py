"""The binary files of CIFAR-10 and CIFAR-100, read with numpy alone.

A record is its labels, a byte each, and 3,072 bytes of pixels: red, green and blue, 32 x 32 each, row by row. CIFAR-10
has one label a record; CIFAR-100 has two, the coarse one (20 groups) and the fine one (100 classes). Names stand in
text files, one a line. https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 32
PIXELS = 3 * SIDE * SIDE


class NotCifar(Exception):
    """A file is missing, or it is not what its name says."""


@dataclass(frozen=True, eq=False)
class Images:
    """inputs uint8 [n, 3, 32, 32] · labels [n], by name · groups [n], by name, "" where there are none"""

    inputs: NDArray[np.uint8]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: NDArray[np.int64]) -> Images:
        """These rows, in this order."""
        return Images(self.inputs[which], self.labels[which], self.groups[which])

    def at_most(self, rows: int) -> Images:
        """The first so many rows of each class, in the order of the file."""
        seen: dict[str, int] = {}
        which = []
        for k, label in enumerate(self.labels.tolist()):
            seen[label] = seen.get(label, 0) + 1
            if seen[label] <= rows:
                which.append(k)
        return self.take(np.array(which, np.int64))


def cifar10(folder: Path, part: str) -> Images:
    """part: train (data_batch_1.bin to 5) or test (test_batch.bin). Raises NotCifar."""
    folder = _inside(folder, "cifar-10-batches-bin")
    names = _names(folder / "batches.meta.txt", 10)
    files = [f"data_batch_{k}.bin" for k in range(1, 6)] if part == "train" else ["test_batch.bin"]
    records = np.concatenate([_records(folder / file, 1) for file in files])
    return _images(records, 1, names, None)


def cifar100(folder: Path, part: str) -> Images:
    """part: train (train.bin) or test (test.bin). Raises NotCifar."""
    folder = _inside(folder, "cifar-100-binary")
    fine = _names(folder / "fine_label_names.txt", 100)
    coarse = _names(folder / "coarse_label_names.txt", 20)
    return _images(_records(folder / f"{part}.bin", 2), 2, fine, coarse)


def _inside(folder: Path, name: str) -> Path:
    """The folder that the archive makes, or the folder itself where it was opened elsewhere."""
    if not folder.is_dir():
        raise NotCifar(f"There is no folder {folder}: unpack the binary version of the archive there.")
    return folder / name if (folder / name).is_dir() else folder


def _names(file: Path, count: int) -> list[str]:
    if not file.is_file():
        raise NotCifar(f"There is no {file.name} in {file.parent}.")
    names = [line.strip() for line in file.read_text().splitlines() if line.strip()]
    if len(names) != count:
        raise NotCifar(f"{file.name} has {len(names)} names instead of {count}.")
    return names


def _records(file: Path, labels: int) -> NDArray[np.uint8]:
    """[n, labels + 3072]"""
    if not file.is_file():
        raise NotCifar(f"There is no {file.name} in {file.parent}.")
    data = np.fromfile(file, np.uint8)
    if not len(data) or len(data) % (labels + PIXELS):
        raise NotCifar(f"{file.name} has {len(data)} bytes, which is no whole number of records of {labels + PIXELS}.")
    return data.reshape(-1, labels + PIXELS)


def _images(records: NDArray[np.uint8], labels: int, fine: Sequence[str], coarse: Sequence[str] | None) -> Images:
    numbers, groups = records[:, labels - 1], records[:, 0]
    if numbers.max() >= len(fine) or (coarse is not None and groups.max() >= len(coarse)):
        raise NotCifar(f"A record has the label {numbers.max()}, and there are {len(fine)} names.")
    coarse_names = np.array(coarse)[groups] if coarse is not None else np.full(len(records), "")
    pixels = np.ascontiguousarray(records[:, labels:]).reshape(-1, 3, SIDE, SIDE)
    return Images(pixels, np.array(fine)[numbers], coarse_names)
