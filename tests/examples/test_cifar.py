"""The example of CIFAR, on tiny files of the same binary format, against a real service."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from examples.cifar import grow
from examples.cifar.files import NotCifar, cifar10, cifar100
from tests.running import Server
from tsuika import Client

TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both data sets with three training images a class and one test image, in the folders that the archives make."""
    root = tmp_path_factory.mktemp("cifar")
    ten, hundred = root / "cifar-10-batches-bin", root / "cifar-100-binary"
    ten.mkdir()
    hundred.mkdir()
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(10, dtype=np.uint8), 3)
    for k, part in enumerate(np.array_split(labels, 5)):
        records(part[:, None], draw).tofile(ten / f"data_batch_{k + 1}.bin")
    records(np.arange(10, dtype=np.uint8)[:, None], draw).tofile(ten / "test_batch.bin")
    (ten / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
    for name, repeats in (("train", 3), ("test", 1)):
        fine = np.repeat(np.arange(100, dtype=np.uint8), repeats)
        records(np.stack([fine // 5, fine], 1), draw).tofile(hundred / f"{name}.bin")
    (hundred / "fine_label_names.txt").write_text("\n".join(f"fine_{k}" for k in range(100)) + "\n")
    coarse = [f"group_{k}" for k in range(18)] + ["vehicles_1", "vehicles_2"]
    (hundred / "coarse_label_names.txt").write_text("\n".join(coarse) + "\n")
    return root


def records(labels: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """Labels, then 3,072 bytes: each class has a colour of its own."""
    colours = np.random.default_rng(1).integers(0, 200, (100, 3))[labels[:, -1]]
    pixels = np.repeat(colours, 1024, axis=1) + draw.integers(0, 50, (len(labels), 3072))
    return np.hstack([labels, pixels.astype(np.uint8)])


def test_a_record_is_read_as_the_format_says(folder: Path) -> None:
    images = cifar10(folder, "train")
    raw = (folder / "cifar-10-batches-bin" / "data_batch_2.bin").read_bytes()
    first = 6  # images in the file before
    assert len(images) == 30
    assert images.labels[first] == TEN[raw[0]]
    assert images.inputs.shape == (30, 3, 32, 32)
    assert images.inputs[first, 1, 2, 3] == raw[1 + 1024 + 2 * 32 + 3]  # green, row 2, column 3
    fine = cifar100(folder, "test")
    assert fine.labels[7] == "fine_7"
    assert fine.groups[7] == "group_1"
    assert sorted(np.unique(cifar10(folder / "cifar-10-batches-bin", "test").labels)) == TEN


def test_files_that_are_something_else_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotCifar, match=r"no batches\.meta\.txt"):
        cifar10(tmp_path, "train")
    (tmp_path / "batches.meta.txt").write_text("\n".join(TEN))
    (tmp_path / "test_batch.bin").write_bytes(b"\x00" * 3000)
    with pytest.raises(NotCifar, match="3000 bytes"):
        cifar10(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(b"\x0b" + b"\x00" * 3072)
    with pytest.raises(NotCifar, match="label 11"):
        cifar10(tmp_path, "test")


def test_ninety_columns_are_added_in_one_update(
    folder: Path, shared: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    few = '{"name": "ridge", "lift": "conv", "width": 8}'
    assert grow.main([str(folder), "--url", shared.url, "--rows", "3", "--method", few]) == 0
    output = capsys.readouterr().out
    assert "100 columns, 90 of them new" in output
    with Client(shared.url) as client:
        model = client.model("cifar")
        first, second = model.version(1).classes, model.version(2).classes
        assert sorted(first) == TEN
        assert second[:10] == first
        assert len({*second}) == 100
        updates = list(model.updates())
        assert len([u for u in updates if u.version in (1, 2)]) == 2
    assert grow.main([str(folder / "nowhere"), "--url", shared.url, "--name", "other"]) == 1
    assert "unpack the binary version" in capsys.readouterr().err
