"""Folders and zip files of pictures, and what is wrong with one of them."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli.exits import WrongUsage
from service.cli.files.pictures import pictures
from service.client.errors import WrongFile
from service.client.rows.picture_rows import opened
from service.guessing import picture_files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def _packed(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"cats/{name}.png", data)
    return path


def _header(at: int, value: int) -> Callable[[Path], None]:
    """Changes a byte of the only file's entry, in both of its headers. at: in that of the file"""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[at] = data[data.index(b"PK\x01\x02") + at + 2] = value
        path.write_bytes(data)

    return change


def _broken(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b".png") + 8] ^= 0xFF
    path.write_bytes(data)


def _said(path: Path, once: bool = False) -> str:
    """What Python and the terminal say, the same but for the name of the whole. once: which Python says, too"""
    with pytest.raises(WrongFile) as in_python:
        opened(path)
    with pytest.raises(WrongUsage) as in_terminal:
        list(pictures(path).records())
    assert str(in_terminal.value) == (str(in_python.value) if once else f"{path.name}: {in_python.value}")
    return str(in_python.value)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_header(6, 1), "is encrypted"),
        (_header(8, 99), "compression method is not supported"),
        (_broken, ""),
    ],
)
def test_a_file_that_cannot_be_unpacked_is_named(harm: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    harm(path := _packed(tmp_path / "pets.zip", odd=PNG))
    said = _said(path)
    assert said.startswith("cats/odd.png cannot be unpacked: ")
    assert why in said


@pytest.mark.parametrize("folder", [True, False])
def test_a_file_that_is_no_picture_is_named(folder: bool, tmp_path: Path) -> None:
    path = _packed(tmp_path / "pets.zip", a=PNG, odd=b"GIF89a")
    if folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path := tmp_path / "pets")
    assert _said(path) == "cats/odd.png is no picture: it begins neither as PNG nor as JPEG files do."


def test_a_small_zip_file_unpacks_to_no_more_than_a_request_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_files, "MOST_BYTES", 10_000)
    path = _packed(tmp_path / "pets.zip", a=PNG, odd=PNG + bytes(20_000))
    assert path.stat().st_size < 1000
    assert _said(path) == "cats/odd.png has more than 10,000 bytes. Make it smaller."


def test_names_in_a_zip_file_may_begin_with_the_folder_that_it_was_made_in(tmp_path: Path) -> None:
    with zipfile.ZipFile(path := tmp_path / "pets.zip", "w") as archive:
        archive.writestr("./cats/1.png", PNG)
    assert opened(path) == ([PNG], ["cats"])


def test_a_zip_file_of_a_later_kind_is_refused(tmp_path: Path) -> None:
    path = _packed(tmp_path / "pets.zip", odd=PNG)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(data)
    assert _said(path, once=True).startswith("pets.zip is no zip file that can be read: zip file version 9.9")


def _written(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_of_two_files_with_one_name_the_later_is_read_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(path := tmp_path / "pets.zip", "w") as archive:
        archive.writestr("cats/1.png", PNG)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cats/1.png", PNG + b"later")
    assert opened(path) == ([PNG + b"later"], ["cats"])


def test_names_in_a_zip_file_may_be_parted_as_in_windows(tmp_path: Path) -> None:
    path = _written(tmp_path / "pets.zip", **{"cats\\1.png": PNG, "dogs\\1.png": PNG})
    assert opened(path) == ([PNG, PNG], ["cats", "dogs"])


@pytest.mark.parametrize("folder", [True, False])
def test_pictures_of_another_kind_are_not_left_out_without_a_word(folder: bool, tmp_path: Path) -> None:
    path = _written(tmp_path / "pets.zip", **{"cats/1.png": PNG, "dogs/2.WEBP": b"RIFF", "dogs/Thumbs.db": b"1"})
    if folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path := tmp_path / "pets")
    with pytest.raises(WrongFile, match=r"holds pictures of other kinds than PNG and JPEG, such as dogs/2\.WEBP"):
        opened(path)
    with pytest.raises(WrongUsage, match=r"Save each as PNG, or take it out\.$"):
        pictures(path)


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("to", ["../far/dogs", "nowhere"])
def test_links_that_are_not_followed_are_not_left_out_without_a_word(to: str, folder: bool, tmp_path: Path) -> None:
    path = _written(tmp_path / "pets.zip", **{"cats/1.png": PNG})
    if folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path := tmp_path / "pets")
        (tmp_path / "far" / "dogs").mkdir(parents=True)
        (path / "dogs").symlink_to(to)
    else:
        link = zipfile.ZipInfo("dogs")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(link, to)
    with pytest.raises(WrongFile, match=r"holds links that are not followed, such as dogs\. Put the files themselves"):
        opened(path)
    with pytest.raises(WrongUsage, match=r"in place of each, or take it out\.$"):
        pictures(path)


def test_a_link_to_a_picture_is_read_as_the_picture(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(PNG)
    (tmp_path / "pets" / "cats").mkdir(parents=True)
    (tmp_path / "pets" / "cats" / "a.png").symlink_to(tmp_path / "1.png")
    (tmp_path / "pets" / ".hidden").symlink_to(tmp_path)
    assert opened(tmp_path / "pets") == ([PNG], ["cats"])


def test_pictures_of_another_kind_that_are_hidden_are_passed_over(tmp_path: Path) -> None:
    path = _written(tmp_path / "pets.zip", **{"cats/1.png": PNG, "__MACOSX/cats/._2.gif": b"1"})
    assert opened(path) == ([PNG], ["cats"])
