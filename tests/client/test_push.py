"""Python as people write it, against a real service: push, look at what became of it, and three mistakes."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from service.client import (
    AsyncClient,
    Client,
    ClientError,
    Conflict,
    InvalidContent,
    LiveMoved,
    MissingColumns,
    NotFound,
    NotLive,
    Rejected,
    RemoteModel,
    UnknownLabels,
    WrongFile,
)
from tests.client.conftest import KEY


def corners(seed: int, n: int = 240, classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows around one corner a class, and their numbers."""
    labels = np.arange(n) % classes
    noise = np.random.default_rng(seed).normal(0, 0.7, (n, 4))
    return (5 * np.eye(4)[labels] + noise).astype(np.float32), labels


@pytest.fixture(scope="module")
def flowers(service_url: str) -> Iterator[RemoteModel]:
    """A model that its first push has made."""
    with Client(service_url, KEY) as client:
        model = client.model("flowers")
        model.push(*corners(0))
        yield model


def test_the_first_push_makes_the_model_and_says_what_it_guessed_once(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    model = client.model("petals")
    first = model.push(*corners(0))
    assert (first.verdict, first.version) == ("promoted", 1)
    assert first.reason.startswith("It knows 0, 1 and 2")
    said = capsys.readouterr().err
    classes = "Classes: 0 (80), 1 (80), 2 (80)."
    guessed = f"New model petals: rows of 4 numbers; predicts classes. {classes}"
    assert said == f"{guessed} To decide it yourself: create_model.\n"
    assert model.push(torch.tensor(corners(1)[0]), list(map(str, corners(1)[1]))).version == 2
    assert capsys.readouterr().err == ""


def test_answers_are_classes_and_probabilities(flowers: RemoteModel) -> None:
    rows, labels = corners(2)
    assert flowers.predict(rows[:3]).classes == ["0", "1", "2"]
    shares = flowers.predict_proba(rows)
    assert shares.classes == ["0", "1", "2"]
    assert np.asarray(shares).shape == (240, 3)
    assert np.allclose(np.asarray(shares).sum(1), 1)
    assert (shares.values.argmax(1) == labels).all()


def test_many_numbers_travel_as_bytes_and_are_answered_alike(flowers: RemoteModel) -> None:
    rows, _ = corners(3, 1200)
    sent: list[str] = []
    flowers._core._transport._http.event_hooks["request"] = [
        lambda request: sent.append(request.headers["content-type"])
    ]
    as_bytes = [flowers.predict(kind(rows)) for kind in (np.asarray, torch.tensor)]
    as_json = flowers.predict(rows.tolist())
    flowers._core._transport._http.event_hooks["request"] = []
    assert sent == ["application/x-npy", "application/x-npy", "application/json"]
    assert as_bytes[0].classes == as_bytes[1].classes == as_json.classes
    assert np.allclose([p.score for p in as_bytes[0].predictions], [p.score for p in as_json.predictions], atol=1e-5)
    with pytest.raises(ValueError, match=r"^inputs, row 0, number 0 \(counted from 0\) is NaN. Fill it in"):
        flowers.predict(np.full((1200, 4), np.nan))


def test_many_numbers_are_learned_as_bytes_and_are_the_batch_that_json_is(client: Client) -> None:
    rows, labels = corners(6, 400)
    model = client.create_model("by-bytes", {"kind": "vector", "size": 4})
    sent: list[str] = []
    model._core._transport._http.event_hooks["request"] = [lambda request: sent.append(request.headers["content-type"])]
    as_json = model.add_batch(rows.tolist(), labels, source="shop")
    same = [model.add_batch(kind(rows), labels, source="shop") for kind in (np.asarray, torch.tensor, pandas.DataFrame)]
    assert [batch.id for batch in same] == [as_json.id] * 3
    assert model.update(np.asarray(rows, np.float64), labels, method="ridge", source="shop").batches == [as_json.id]
    model._core._transport._http.event_hooks["request"] = []
    assert sent == ["application/json", *["application/x-safetensors"] * 4]
    with pytest.raises(ValueError, match=r"^inputs, row 0, number 0 \(counted from 0\) is NaN. Fill it in"):
        model.add_batch(np.full((400, 4), np.nan), labels)


def test_a_version_is_pinned_and_compared(client: Client, service_url: str) -> None:
    model = client.model("pinned")
    model.push(*corners(0))
    model.push(*corners(1, classes=4), new_classes="allow")
    rows, labels = corners(2, classes=4)
    assert (model.at(1).predict(rows[:1]).version, client.model("pinned@previous").predict(rows[:1]).version) == (1, 1)
    assert (model.predict(rows[:1]).version, client.model("pinned:1").predict(rows[:1]).version) == (2, 1)
    for name in ("pinned@latest", "pinned:latest"):
        with pytest.raises(ValueError, match="latest"):
            client.model(name)
    compared = model.compare(1, 2, rows, labels)
    assert set(compared.differ) == set(range(3, 240, 4))
    assert compared.scores == (0.75, 1.0)
    assert compared.sentence == (
        "Versions 1 and 2 answer 60 of 240 rows differently. Right: 75.0 % and 100.0 %. The second also knows 3."
    )
    lines = [
        ",".join([*map(str, row), str(label)]) for row, label in zip(np.asarray(rows).tolist(), labels, strict=True)
    ]
    of_file = "\n".join([",".join([*(f"p{k}" for k in range(4)), "label"]), *lines]).encode()
    for same in (of_file, of_file.replace(b",label", b",answer")):
        assert model.compare(1, 2, same).sentence == compared.sentence, "a column of the file says what is right"
    assert model.compare(1, 2, rows).scores is None
    with pytest.raises(Conflict, match=r'client\.model\("pinned"\)\.push\(rows, labels\)\.'):
        model.update(batches="pending")
    card = model.report()
    assert (card.version, card.reason[:11]) == (2, "It knows 3;")
    assert repr(card).startswith("● Live: version 2. It knows 3; ")
    assert f"Page: {service_url}/models/pinned" in repr(card)
    assert [look.version for look in model.watch(card.update)] == [2]
    with pytest.raises(LiveMoved):
        model.rollback("too late", if_live=1)
    assert model.rollback("only to see").live_version == 1


def test_a_misspelt_label_is_an_error_and_nothing_is_stored(flowers: RemoteModel) -> None:
    rows, _ = corners(4, 3)
    before = [batch.id for batch in flowers.batches()]
    with pytest.raises(UnknownLabels) as refused:
        flowers.push(rows, ["0", "1l", "2"])
    assert str(refused.value).endswith('To add new classes, say new_classes="allow".')
    assert (refused.value.unknown, refused.value.rows, refused.value.near) == (["1l"], [1], {"1l": ["1"]})
    assert [batch.id for batch in flowers.batches()] == before


def test_new_classes_that_are_no_names_are_refused_in_a_sentence(flowers: RemoteModel, client: Client) -> None:
    yes: Any = True
    for model in (flowers, client.model("never-made")):
        with pytest.raises(ValueError, match="new_classes=True names no class"):
            model.push(*corners(0), new_classes=yes)
    with pytest.raises(ValueError, match="names no class"):
        flowers.update(*corners(0), new_classes=yes)
    with pytest.raises(NotFound):
        client.model("never-made").info()


@pytest.mark.long
def test_a_first_push_that_is_refused_leaves_no_model(client: Client) -> None:
    model = client.model("halfway")
    good = pandas.DataFrame(rents())
    with pytest.raises(InvalidContent, match="rooms") as refused:
        model.push(good.assign(rooms=[*good["rooms"][:-1], 10**200]), target="rent")
    assert refused.value.__notes__ == ["Nothing was stored, and the new model halfway was not kept."]
    with pytest.raises(NotFound):
        client.model("halfway").info()
    with pytest.raises(TypeError, match=r'There is no option label\. target="COLUMN" names the column'):
        model.push(good, label="rent")  # type: ignore[call-arg]
    with pytest.raises(NotFound):
        client.model("halfway").info()
    numbered = good.assign(nr=range(len(good)))
    assert model.push(numbered, leave_out="nr").verdict == "promoted"
    assert model.info().target.model_dump()["names"] == ["rent"]
    file = numbered.assign(rooms=[None, *good["rooms"][1:]]).to_csv(index=False, na_rep="NA").encode()
    with pytest.raises(InvalidContent, match='say gaps="NA"'):
        model.push(file, leave_out="nr")
    assert model.push(file, gaps="NA").version == 2, "the model remembers what it leaves out"
    assert len(model.predict(file, gaps=["NA"]).predictions) == len(good)
    of_frame = model.push(numbered.assign(rent=2 * good["rent"]), expect="move")
    assert of_frame.version == 3, "of a frame, too, whose last column is none that is learned"
    with pytest.raises(ValueError, match="gaps are words of a CSV file"):
        model.push(good, gaps="NA")
    with pytest.raises(InvalidContent, match=r'Target 0 \(counted from 0\): "high" is not a number'):
        model.push(good.assign(rent="high"))


def test_what_comes_back_is_printed_in_a_line(flowers: RemoteModel) -> None:
    answer = flowers.predict(corners(2)[0])
    for thing in (answer, flowers.info(), flowers.version(), *flowers.batches(), *flowers.updates()):
        assert len(str(thing)) < 400
        assert str(thing) == repr(thing)
    assert str(answer).startswith("Predictions(model='flowers', version=1, classes=['0', '1', '2', ")
    assert "'and 232 more']" in str(answer)


def test_shuffled_labels_are_rejected_and_what_is_live_stays(flowers: RemoteModel) -> None:
    rows, labels = corners(5)
    live = flowers.info().live_version
    result = flowers.push(rows, np.random.default_rng(0).permutation(labels))
    assert result.verdict == "rejected"
    with pytest.raises(Rejected, match="look shuffled") as rejected:
        result.raise_if_rejected()
    assert rejected.value.result is result
    assert flowers.info().live_version == live


def rents(n: int = 120) -> dict[str, list[Any]]:
    rooms = np.arange(n) % 5 + 1
    city = np.array(["Osaka", "Kyoto"])[np.arange(n) // 5 % 2]
    rent = np.where(city == "Kyoto", 75, 60) + 18.0 * rooms + np.random.default_rng(0).normal(0, 2, n)
    return {"city": city.tolist(), "rooms": rooms.tolist(), "rent": rent.round(1).tolist()}


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_frames_are_tables_and_a_missing_column_is_an_error(
    frame: Any, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    model = client.model(f"rents-{frame.__module__.partition('.')[0]}")
    made = model.push(frame(rents()), target="rent")
    assert made.verdict == "promoted"
    assert 'a table of city (category), rooms (number); predicts numbers from column "rent"' in capsys.readouterr().err
    assert "mean error" in repr(made)
    assert model.compare(1, 1).predicts == "number"
    asked = frame(rents(4))
    assert [round(value) for value in model.predict(asked).values] == pytest.approx([78, 96, 114, 132], abs=5)
    with pytest.raises(ValueError, match=r"has no column \"shop\". Leave it out: leave_out=\['shop'\]"):
        model.push(frame({**rents(4), "shop": [1, 2, 3, 4]}), target="rent")
    renamed = asked.rename(columns={"city": "town"}) if frame is pandas.DataFrame else asked.rename({"city": "town"})
    before = [batch.id for batch in model.batches()]
    for call in (model.predict, model.push):
        with pytest.raises(MissingColumns, match='no column "city"') as refused:
            call(renamed)
        assert refused.value.columns == ["city"]
    assert [batch.id for batch in model.batches()] == before


def as_dicts(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def as_tuples(columns: dict[str, list[Any]]) -> list[Any]:
    kind = namedtuple("Rent", [*columns])  # type: ignore[misc]
    return [kind(*row) for row in zip(*columns.values(), strict=True)]


def as_rows_of_a_database(columns: dict[str, list[Any]]) -> list[Any]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute(f"create table rents ({', '.join(columns)})")
    rows = [*zip(*columns.values(), strict=True)]
    connection.executemany(f"insert into rents values ({', '.join('?' * len(columns))})", rows)
    return connection.execute("select * from rents").fetchall()


@pytest.mark.parametrize(
    "named",
    [
        as_dicts,
        pytest.param(as_tuples, marks=pytest.mark.long),
        pytest.param(as_rows_of_a_database, marks=pytest.mark.long),
    ],
)
def test_rows_that_name_their_cells_hold_what_is_to_be_predicted_as_frames_do(
    named: Callable[[dict[str, list[Any]]], list[Any]], client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(rents()["rent"])
    columns = {**rents(), "flat": [f"R-{k}" for k in range(count)], "house": [f"H-{k // 2}" for k in range(count)]}
    model = client.model(f"rents-of-{named.__name__}")
    first = model.push(named(columns), target="rent", group="house", leave_out="flat")
    assert 'a table of city (category), rooms (number); predicts numbers from column "rent"' in capsys.readouterr().err
    assert (first.verdict, model.info().leave_out) == ("promoted", ["flat"])
    frame = pandas.DataFrame(columns)
    assert model.push(frame, target="rent", group="house", wait=None).batches == first.batches, "the same batch"
    later = {**columns, "rent": [rent + 0.1 for rent in columns["rent"]]}
    said = model.push(named(later), target="rent", group="house")
    assert (said.version, model.push(named(later), group="house", wait=None).batches) == (2, said.batches)
    answer = model.predict(named(columns)[:2], leave_out="house")
    assert answer.values == model.predict(frame[:2]).values
    assert [*answer.to_dict()] == ["given_rent", "flat", "house", "rent", "rent from", "rent to"]
    assert answer.to_dict()["flat"] == ["R-0", "R-1"]
    sizes = {"rooms": columns["rooms"], "label": ["small" if rooms < 4 else "large" for rooms in columns["rooms"]]}
    by_name = client.model(f"sizes-of-{named.__name__}")
    assert by_name.push(named(sizes)).version == by_name.push(named({**sizes, "rooms": [*range(count)]})).version - 1
    with pytest.raises(
        ValueError, match=r"These rows have no column 'price'. They have city, rooms, rent, flat, house"
    ):
        model.push(named(columns), target="price")
    with pytest.raises(ValueError, match="labels are given beside"):
        model.push(named(columns), columns["rent"], target="rent", group="house")


def test_a_column_that_a_model_takes_is_not_left_out_later(client: Client) -> None:
    model = client.model("rents-by-customer")
    columns = {**rents(), "customer_id": [f"C-{k % 7}" for k in range(len(rents()["rent"]))]}
    model.push(pandas.DataFrame(columns), target="rent")
    takes = 'rents-by-customer takes the column "customer_id" since its first push'
    for rows in (pandas.DataFrame(columns), as_dicts(columns)):
        for call in (partial(model.push, target="rent"), model.predict):
            with pytest.raises(ValueError, match=takes):
                call(rows, leave_out="customer_id")
    assert len(list(model.batches())) == 1


def test_answers_are_joined_to_their_rows(client: Client, tmp_path: Path) -> None:
    columns = {**rents(), "id": [f"R-{k}" for k in range(len(rents()["rent"]))]}
    model = client.model("rents-with-ids")
    assert model.push(pandas.DataFrame(columns), target="rent", leave_out="id").verdict == "promoted"
    asked = pandas.DataFrame(columns).iloc[[3, 1]]
    answer = model.predict(asked)
    table = answer.to_frame()
    assert [*table.columns] == ["given_rent", "id", "rent", "rent from", "rent to"], "as pages and the terminal have it"
    assert ([*table.index], [*table["id"]], [*table["rent"]]) == ([3, 1], ["R-3", "R-1"], answer.values)
    assert type(model.predict(polars.DataFrame(columns)[:2]).to_frame()).__module__.startswith("polars")
    assert [*model.predict([{"city": "Kyoto", "rooms": 2}]).to_dict()] == ["rent", "rent from", "rent to"]

    file = tmp_path / "rents.csv"
    asked.drop(columns="rent").to_csv(file, index=False, sep=";")
    of_file, written = model.predict(file), tmp_path / "answers.csv"
    assert of_file.to_frame()["id"].tolist() == ["R-3", "R-1"]
    of_file.to_csv(written)
    lines = [line.split(";") for line in written.read_text().splitlines()]
    assert (lines[0], [line[0] for line in lines[1:]]) == (["id", "rent", "rent from", "rent to"], ["R-3", "R-1"])
    assert [float(line[1].replace(",", ".")) for line in lines[1:]] == pytest.approx(answer.values)
    file.write_text(file.read_text() + "R-9;Kyoto;4\n")
    with pytest.raises(ValueError, match="has changed since it was asked about"):
        of_file.to_frame()


def test_dates_of_a_frame_are_read_as_those_of_a_file(client: Client) -> None:
    columns = {**rents(), "since": [f"{k % 28 + 1}.{k % 12 + 1}.2024" for k in range(len(rents()["rent"]))]}
    model = client.model("rents-with-dates")
    for frame in (pandas.DataFrame(columns), polars.DataFrame(columns)):
        model.push(frame, target="rent", again=True)
    [since] = [column for column in (model.info().input.columns) if column.name == "since"]  # type: ignore[union-attr]
    assert since.kind == "date"
    asked = pandas.DataFrame(columns).head(2)[["city", "rooms", "since"]]
    due = model.predict(asked.assign(since=["2024-05-01", "2024-06-02"])).values
    assert model.predict(asked.assign(since=["1.5.2024", "02/06/2024"]), dates="day-first").values == due
    assert model.predict(asked.assign(since=pandas.to_datetime(["2024-05-01", "2024-06-02"]))).values == due
    with pytest.raises(ValueError, match=r'2/6/2024 in "since" is .* Say which: dates="day-first"'):
        model.predict(asked.assign(since="2/6/2024"))
    with pytest.raises(
        ValueError, match=r'Row 0 \(counted from 0\), column "since": "1 May 2024" is no date .*pandas.to_datetime\('
    ):
        model.push(asked.assign(since="1 May 2024", rent=70.5))


def test_a_file_is_pushed_by_its_path(client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns, file = rents(), tmp_path / "rents.csv"
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    file.write_text("\n".join(lines))
    model = client.model("rents-of-a-file")
    assert model.push(file).verdict == "promoted"
    assert 'from column "rent"' in capsys.readouterr().err
    file.write_text("\n".join(line.partition(",")[2] for line in lines))
    with pytest.raises(InvalidContent, match=r"Line 1.*city"):
        model.push(file)
    assert len(list(model.batches())) == 1


def test_words_for_gaps_are_said_once_and_remembered(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"age": 20 + k % 9 + 30 * (k % 2), "label": "ab"[k % 2]} for k in range(60)]
    rows[3]["age"] = rows[8]["age"] = "k.A."
    file = tmp_path / "ages.csv"
    file.write_text("age,label\n" + "".join(f"{row['age']},{row['label']}\n" for row in rows))
    pushed, listed = client.model("ages-of-a-file"), client.model("ages-of-dicts")
    for model, sent in ((pushed, file), (listed, rows)):
        assert model.push(sent).verdict == "promoted"
        assert '"k.A." in "age" is taken for a gap: nothing is known there.' in capsys.readouterr().err
    assert pushed.info().input == listed.info().input
    asked = tmp_path / "asked.csv"
    asked.write_text("age\nk.A.\n22\n")
    assert pushed.predict(asked).classes == pushed.predict([{"age": "k.A."}, {"age": 22}]).classes
    assert pushed.push(tmp_path / "ages.csv", source="later").update.state == "succeeded"
    texts = tmp_path / "texts.csv"
    texts.write_text("text,label\n" + 9 * "my parcel has not arrived,late\nthe colour is another one,NA\n")
    model = client.model("texts-without-labels")
    assert model.push(texts, wait=None).update.state == "queued", "texts have no gaps, and their labels do"
    model.archive()


def test_a_file_of_numbered_columns_is_pushed_and_predicted(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, labels = corners(0)
    lines = [",".join(map(str, [*row, label])) for row, label in zip(np.asarray(rows).tolist(), labels, strict=True)]
    file = tmp_path / "corners.csv"
    file.write_text("\n".join(["p0,p1,p2,p3,label", *lines]))
    model = client.model("corners-of-a-file")
    assert model.push(file).verdict == "promoted"
    said = capsys.readouterr().err
    assert 'rows of 4 numbers; predicts classes from column "label". Classes: 0 (' in said
    assert model.predict(file).classes == model.predict(rows).classes
    assert model.predict(b"p0,p1,p2,p3,kind\n" + file.read_bytes().partition(b"\n")[2]).classes[:3] == list("012")
    with pytest.raises(InvalidContent, match='No column is called "target" or "label"'):
        model.add_batch(b"p0,p1,p2,p3\n1,2,3,4")
    file.write_text("p0|p1|label\n1|2|a\n")
    with pytest.raises(ClientError, match=r"^corners\.csv: This CSV file has one column"):
        client.model("never-made").push(file)
    with pytest.raises(WrongFile, match="a byte of line 3 begins no character"):
        client.model("never-made").push(b"p0,p1,label\n1,2,caf\xc3\xa9\n1,2,caf\xe9\n")
    with pytest.raises(NotFound):
        client.model("never-made").info()
    file.write_text("p0,p1,p3,label\n1,2,4,0")
    missing = '"p2" is missing. Add what is missing, or make a model of its own for such rows.'
    with pytest.raises(InvalidContent, match=missing):
        model.push(file)
    model = client.model("corners-without-names")
    model.push(rows, labels)
    missing = '"p2" is missing in their numbering: add it, or make a model of its own for such rows.'
    with pytest.raises(InvalidContent, match=missing):
        model.push(file)
    for frame in (pandas.DataFrame, polars.DataFrame):
        few = frame({"p0": [1.0, 2.0], "p1": [2.0, 3.0], "p3": [4.0, 5.0]})
        for call in (model.predict, lambda rows: model.push(rows, ["0", "1"])):
            with pytest.raises(MissingColumns, match=f"3 columns, and .* takes 4 numbers a row. {missing}") as refused:
                call(few)
            assert refused.value.columns == ["p2"]
    others = '"p2" is missing in their numbering, and "label" is no part of it: add it'
    with pytest.raises(InvalidContent, match=others):
        model.predict(file)
    for frame in (pandas.DataFrame, polars.DataFrame):
        with pytest.raises(MissingColumns, match=others) as refused:
            model.predict(frame({"p0": [1.0], "p1": [2.0], "p3": [4.0], "label": [0]}))
        assert refused.value.columns == ["p2"]
        with pytest.raises(ValueError, match='leave_out="label"'):
            model.predict(frame({"p0": [1.0], "p1": [2.0], "p2": [2.0], "p3": [4.0], "label": [0]}))
    file.write_text("p0,p1,p2,p3,label\n1,2,three,4,0")
    with pytest.raises(InvalidContent, match=r'^corners\.csv: Line 2, column "p2": "three" is not a number'):
        model.push(file)


def test_images_are_pushed_as_people_have_them(client: Client, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 120, (60, 8, 8, 3))
    pixels[np.arange(60), :, :, 2 * (np.arange(60) % 2)] += 130
    images = [Image.fromarray(image.astype(np.uint8)) for image in pixels]
    model = client.model("colours")
    assert model.push(images, ["red", "blue"] * 30).verdict == "promoted"
    assert model.info().input.shape == (3, 8, 8)
    path = tmp_path / "one.png"
    images[0].save(path)
    held = io.BytesIO()
    images[0].save(held, "PNG")
    assert model.predict([images[0], path, held.getvalue()]).classes == ["red"] * 3


def test_the_same_with_coroutines(service_url: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("x,label\n" + "".join(f"{k % 2 * 3 + k % 7 / 10},{'ab'[k % 2]}\n" for k in range(60)))

    async def work() -> None:
        async with AsyncClient(service_url, KEY) as client:
            model = client.model("awaited")
            looks: list[str] = []
            first = await model.push(*corners(0), on_progress=lambda update: looks.append(update.state))
            assert first.verdict == "promoted"
            assert looks[0] in ("queued", "running"), "a worker may be quicker than the first look"
            several = await asyncio.gather(*(model.predict(corners(k)[0]) for k in range(3)))
            assert {answer.version for answer in several} == {1}
            assert [version.number async for version in model.versions()] == [1]
            with pytest.raises(UnknownLabels):
                await model.push(corners(1)[0][:1], ["new"])
            with pytest.raises(NotFound):
                await client.model("nobody").info()
            assert (await client.model("awaited-file").push(file)).verdict == "promoted"

    asyncio.run(work())


def test_a_model_without_versions_says_so(client: Client) -> None:
    with pytest.raises(NotLive):
        client.create_model("unborn", {"kind": "vector", "size": 4}).predict_proba(corners(0)[0])
