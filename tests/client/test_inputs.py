"""Texts, pictures, rows without labels and imported versions, from a program of somebody's own to a real service."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.client import Client, InvalidContent, MethodRefused, WrongFile, ledger_digest
from service.contract.enums import BatchState, UpdateState, Verdict
from tests.alike import alike

VECTOR = {"kind": "vector", "size": 4, "scale": {"range": [-8, 8]}}
IMAGE = {"kind": "image", "channels": 3, "height": 8, "width": 8}
RIDGE = {"name": "ridge", "lift": "none"}


def corners(seed: int, n: int = 60, classes: int = 3) -> tuple[NDArray[np.float32], list[str]]:
    labels = np.arange(n) % classes
    noise = np.random.default_rng(seed).normal(0, 0.7, (n, 4))
    return np.clip(5 * np.eye(4)[labels] + noise, -8, 8).astype(np.float32), [str(k) for k in labels]


def pictures(seed: int, n: int = 60) -> tuple[NDArray[np.uint8], list[str]]:
    """Red and blue ones, [n, 3, 8, 8]."""
    pixels = np.random.default_rng(seed).integers(0, 120, (n, 3, 8, 8))
    names = np.arange(n) % 2
    pixels[np.arange(n), 2 * names] += 130
    return pixels.astype(np.uint8), [["red", "blue"][k] for k in names]


def png(pixels: NDArray[np.uint8]) -> bytes:
    held = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(held, "PNG")
    return held.getvalue()


@pytest.mark.long
def test_pictures_are_learned_and_recognised_however_they_are_sent(client: Client) -> None:
    model = client.create_model("pictures", IMAGE, method=RIDGE)
    rows, names = pictures(0)
    batch = model.add_batch([png(p) for p in rows], names, new_classes="allow")
    assert model.add_batch(rows, names).id == batch.id
    assert model.update(batches="pending").verdict == Verdict.PROMOTED
    new, truth = pictures(1, 20)
    sent = model.predict([png(p) for p in new], top=2)
    assert [p.class_ for p in sent.predictions] == truth
    assert alike(model.predict(new, top=2), sent)
    with pytest.raises(InvalidContent, match="4 x 4 pixels"):
        model.predict([png(new[0, :, :4, :4])])


@pytest.mark.long
def test_texts_are_learned_and_recognised(client: Client) -> None:
    model = client.create_model("intents", {"kind": "text", "length": 100}, method=RIDGE)
    texts_by_class = {
        "weather": ["will it rain tomorrow", "is it sunny outside", "how cold is it today", "do I need an umbrella"],
        "money": ["what is my balance", "transfer ten euros", "pay my bill please", "how much is in my account"],
    }
    rows = [
        f"{text}{end}"
        for texts in texts_by_class.values()
        for text in texts
        for end in ("", "?", " now", " please tell me")
    ]
    names = [name for name, texts in texts_by_class.items() for _ in range(4 * len(texts))]
    assert model.update(rows, names, new_classes="allow").verdict == Verdict.PROMOTED
    predictions = model.predict(["is it going to snow?", "send money to my landlord"]).predictions
    assert [p.class_ for p in predictions] == ["weather", "money"]
    asked = b"ticket,text\n4711,is it going to snow?\n4890,send money to my landlord\n"
    assert model.predict(asked).classes == ["weather", "money"], "numbers beside texts are none"
    named = asked.replace(b"4711", b"T-1001").replace(b"4890", b"T-1002").replace(b"ticket", b"ticket_id")
    with pytest.raises(InvalidContent, match=r'takes one text a row, and there are 2 columns.*: leave_out="ticket_id"'):
        model.predict(named)
    answer = model.predict(named, leave_out="ticket_id")
    assert (answer.classes, answer.to_dict()["ticket_id"]) == (["weather", "money"], ["T-1001", "T-1002"])
    frame = pandas.read_csv(io.BytesIO(named))
    with pytest.raises(ValueError, match=r'This frame has 2 columns, and intents takes .*leave_out="ticket_id"'):
        model.predict(frame)
    of_frame, of_file = model.predict(frame, leave_out=["ticket_id"]).to_dict(), answer.to_dict()
    # rows of one question may be in several passes, whose matrices add up in another order
    assert of_frame.pop("score") == pytest.approx(of_file.pop("score"), rel=1e-6)
    assert of_frame == of_file
    assert model.predict(frame["text"]).classes == answer.classes
    asked_for = pandas.DataFrame({"ticket": "T-1", "text": rows, "label": names})
    made = client.model("intents-of-a-frame").push(asked_for, leave_out="ticket", wait=None)
    assert client.model("intents-of-a-frame").info().input.kind == "text", "as a file of it"
    assert made.update.requested_method is not None
    with pytest.raises(InvalidContent, match="101 characters"):
        model.predict(["x" * 101])


@pytest.mark.long
def test_rows_without_a_label_are_kept_beside_and_taken_back(client: Client) -> None:
    model = client.create_model("partly", VECTOR, method=RIDGE)
    assert model.update(*corners(0), new_classes="allow").verdict == Verdict.PROMOTED
    rows, names = corners(1)
    nameless = model.add_batch(rows + 0.5, [None] * len(rows))
    mixed = model.update(np.concatenate([rows, corners(2, 30)[0]]), [*names, *[None] * 30], batches=None, source="shop")
    assert (mixed.verdict, mixed.report.batch.unlabelled) == (Verdict.PROMOTED, 30)
    assert mixed.report.batch.unlabelled_unfamiliar_share is not None
    with pytest.raises(InvalidContent, match="None of these rows has a label"):
        model.update(batches="pending")
    third = model.add_batch(*corners(3))
    both = model.update(batches="pending")
    assert (both.batches, both.verdict) == ([nameless.id, third.id], Verdict.PROMOTED)
    assert both.version is not None
    before = ledger_digest(model.ledger(both.version))
    taken = model.retract(nameless.id, erase=True)
    assert taken.state == UpdateState.SUCCEEDED
    assert taken.version is not None
    assert ledger_digest(model.ledger(taken.version)) == before
    states = {b.id: b.state for b in model.batches()}
    assert states[nameless.id] == BatchState.ERASED


@pytest.mark.long
def test_a_folder_and_a_zip_file_of_pictures_are_rows_with_labels(client: Client, tmp_path: Path) -> None:
    rows, names = pictures(0)
    for k, (row, name) in enumerate(zip(rows, names, strict=True)):
        (tmp_path / "all" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name / f"{k:03}.png").write_bytes(png(row))
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "all")
    model = client.model("from-folders")
    first = model.push(tmp_path / "all", wait=60)
    assert (first.verdict, sorted(model.info().classes)) == (Verdict.PROMOTED, sorted({*names}))
    assert model.push(packed).batches == first.batches, "the same rows in the same order are the same batch"
    one = min((tmp_path / "all" / names[0]).iterdir())
    assert model.predict(str(one)).classes == model.predict(one.parent).classes[:1] == [names[0]]
    assert model.compare(1, 1, tmp_path / "all").rows == len(rows)
    (tmp_path / "all" / "loose.png").write_bytes(png(rows[0]))
    with pytest.raises(WrongFile, match="in folders and outside"):
        model.push(tmp_path / "all")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WrongFile, match="no PNG"):
        model.predict(tmp_path / "empty")


@pytest.mark.long
def test_a_version_moves_to_another_model_and_learns_on(client: Client) -> None:
    source = client.create_model("source", VECTOR, architecture={"backbone": {"name": "mlp", "hidden": [16]}})
    first = source.update(*corners(0, 90), new_classes="allow", method={"name": "retrain", "epochs": 20})
    assert first.version == 1
    target = client.create_model("target", VECTOR)
    made = target.import_version(source.weights(1), promote=True, reason="from source")
    assert (made.live, made.update, made.batches) == (True, None, [])
    rows = corners(5, 12)[0]
    assert alike(target.predict(rows, top=3).predictions, source.predict(rows, top=3, version=1).predictions)
    for method in ("ridge", "si", "retrain"):
        with pytest.raises(MethodRefused, match="mas"):
            target.update(corners(6, 8)[0][:1], ["new"], new_classes="allow", method=method)
    assert target.info().classes == ["0", "1", "2"]
    learned = target.update(*corners(7, 80, 4), new_classes="allow", method="mas")
    assert learned.state == UpdateState.SUCCEEDED
    assert learned.version is not None
    assert target.version(learned.version).classes == ["0", "1", "2", "3"]
    taken = target.retract(learned.batches)
    assert taken.version is not None
    assert target.version(taken.version).classes == ["0", "1", "2"]
    before = target.predict(rows, top=3, version=1).predictions
    assert alike(target.predict(rows, top=3, version=taken.version).predictions, before)
