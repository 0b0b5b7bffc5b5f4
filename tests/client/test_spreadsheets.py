"""Files as a spreadsheet saves them where a comma is the decimal sign, from Python."""

from __future__ import annotations

import gzip
import os
import zipfile
from html import escape
from pathlib import Path

import pandas
import pytest

from service.client import Client, InvalidContent, NotFound, TooLarge, WrongFile

LINES = [f"{k % 2 * 30 + k % 7},{k % 10};{k % 28 + 1}.11.2026;{'Köln' if k % 2 else 'Bad, Orb'}" for k in range(60)]


def test_a_file_of_semicolons_is_pushed_and_predicted(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "orte.csv"
    file.write_text("\n".join(["größe;tag;ort", *LINES]), "cp1252")
    model = client.model("orte")
    pushed = model.push(file)
    assert pushed.verdict == "promoted"
    assert (
        sum('decimal comma. Letters are read as Windows-1252, as in "größe"; if' in note for note in pushed.notes) == 1
    )
    for note in pushed.notes:
        assert f"\n  {note}\n" in repr(pushed)
        assert f"<p>{escape(note)}</p>" in pushed._repr_html_()
    said = capsys.readouterr().err
    assert 'a table of größe (number), tag (date); predicts classes from column "ort".' in said
    assert (
        'decimal comma. Letters are read as Windows-1252, as in "größe"; if that is wrong, say another encoding.'
        in said
    )
    assert model.info().classes == ["Bad, Orb", "Köln"]
    answer = model.predict("größe;tag\n2,5;1.11.2026\n34,5;2.11.2026\n".encode())
    assert answer.classes == ["Bad, Orb", "Köln"]
    assert answer.notes == ["Cells are parted by semicolons; numbers have a decimal comma."]
    plain = "größe,tag,ort\n" + "".join(
        f'{size.replace(",", ".")},2026-11-{int(day.split(".")[0]):02},"{place}"\n'
        for size, day, place in (line.split(";") for line in LINES)
    )
    assert model.push(plain.encode(), target="ort").version is None, "the same rows are the same batch"


def test_what_can_be_read_in_two_ways_is_said_before_anything_is_made(client: Client) -> None:
    content = b"a;b, c;label\n1.234;2;x\n5;6;y\n"
    for options, sentence in (
        ({}, 'Say which: delimiter="," or delimiter=";"'),
        ({"delimiter": ";"}, '1.234 in "a" is 1234 if a point parts thousands'),
    ):
        with pytest.raises(WrongFile, match=sentence):
            client.model("two-ways").push(content, **options)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        client.model("two-ways").info()
    with pytest.raises(ValueError, match=r"decimal says how a CSV file is written\. Rows"):
        client.model("two-ways").push([[1, 2]] * 2, ["a", "b"], decimal=",")
    model = client.model("two-ways")
    assert model.push(content, delimiter=";", decimal=",").batches
    assert model.predict(b"a;b, c\n1.234;2\n", delimiter=";", decimal=",").classes


def test_another_kind_of_file_is_told_before_it_is_sent(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(gzip.compress(b"a,label\n1,x\n"))
    for call in (client.model("packed").push, client.model("packed").update, client.model("packed").predict):
        with pytest.raises(WrongFile, match=r"^x\.csv: This file is packed by gzip, and a CSV file is due"):
            call(file)


def test_a_file_or_folder_of_two_gigabytes_is_refused_with_the_limit_unread(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pictures"
    (folder / "red").mkdir(parents=True)
    file, picture = tmp_path / "x.csv", folder / "red" / "1.png"
    file.write_text("a,label\n1,x\n")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    for path in (file, picture):
        os.truncate(path, 2_000_000_000)
    monkeypatch.setattr(
        "service.guessing.csv_files.records.Pieces.__iter__", lambda _: pytest.fail("the file was read")
    )
    monkeypatch.setattr("service.guessing.picture_files.PictureFiles.__iter__", lambda _: pytest.fail("and this"))
    model = client.model("too-large")
    for call in (model.push, model.update, model.add_batch, model.predict):
        for rows in (file, str(file), folder):
            sentence = f"^{Path(rows).name} has 2,000.0 MB, and the service takes 67.1 MB at once .* Nothing was sent"
            with pytest.raises(TooLarge, match=sentence) as refused:
                call(rows)
            assert refused.value.status == 413
    with pytest.raises(NotFound):
        model.info()


def test_a_small_zip_file_of_pictures_that_unpacks_to_too_much_is_refused_unread(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("red/1.png", "red/2.png", "red/notes.txt"):
            archive.writestr(name, b"\x89PNG\r\n\x1a\n" + bytes(40_000_000))
    assert path.stat().st_size < 200_000
    monkeypatch.setattr("service.guessing.picture_files.PictureFiles.__iter__", lambda _: pytest.fail("it was read"))
    sentence = r"^pictures\.zip unpacks to 80\.0 MB, and the service takes 67\.1 MB at once .* Nothing was sent"
    for call in (client.model("unpacked").push, client.model("unpacked").predict):
        with pytest.raises(TooLarge, match=sentence):
            call(path)
    path.write_bytes(b"no zip file")
    with pytest.raises(WrongFile, match=r"^pictures\.zip is no zip file that can be read"):
        client.model("unpacked").push(path)


def test_texts_of_numbers_in_frames_and_dicts_are_sent_as_numbers(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pandas.DataFrame(
        {"size": [f"{k}．５" for k in range(30)], "day": range(30), "label": ["x"] * 15 + ["y"] * 15}
    )
    frame["size"] = frame["size"].str.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    model = client.model("wide")
    model.push(frame)
    assert 'Full-width digits in "size" are read as numbers, as in "０．５".' in capsys.readouterr().err
    asked = [{"size": 12.5, "day": 3}]
    due = model.predict(asked).predictions[0].score
    for size in ("１２．５", "12.5"):
        for day in (3, "3"):
            asked = [{"size": size, "day": day}]
            for rows in (asked, pandas.DataFrame(asked), f"size,day\n{size},{day}\n".encode()):
                assert model.predict(rows).predictions[0].score == pytest.approx(due), rows
    with pytest.raises(InvalidContent, match="many"):
        model.predict([{"size": "12.5", "day": 3}, {"size": "many", "day": 3}])
    for beyond in ("1e999", "１e９９９"):
        for asks in ([{"size": beyond, "day": 3}], pandas.DataFrame([{"size": beyond, "day": 3}])):
            with pytest.raises(InvalidContent, match=beyond):
                model.predict(asks)
