"""Pictures in a folder or a zip file: PNG and JPEG, in a folder of their class each."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

ENDINGS = (".png", ".jpg", ".jpeg")
OTHER_ENDINGS = (".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".tif", ".tiff", ".webp")
"""Of pictures that the service does not take: left out without a word, all of a class might be lost."""
BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
"""First bytes of the image files that the service takes -> their name in a request."""
MOST_BYTES = 64 * 2**20
"""Of a picture, as of the body of a request: a small zip file may unpack to any number."""


def holds_pictures(path: Path) -> bool:
    """Whether it is read as pictures, by what it is."""
    return path.is_dir() or path.suffix.lower() == ".zip"


def unpacked_size(path: Path) -> int:
    """Bytes that the pictures of a zip file unpack to, as it says, of which no more are read; 0 of a broken one."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
        return 0
    return sum(entry.file_size for name, entry in entries.items() if name.suffix.lower() in ENDINGS)


@dataclass(frozen=True)
class PictureFiles:
    """names: of the files below `path`, sorted. Iterating reads them one after another."""

    path: Path
    names: list[PurePosixPath]

    @classmethod
    def below(cls, path: Path) -> PictureFiles:
        """Hidden files are passed over. Raises ValueError where there are none, others are pictures of another kind,
        links lead to what is not read, or some stand in folders and others outside of them."""
        try:
            names, others, links = _names(path)
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as broken:
            raise ValueError(f"{path.name} is no zip file that can be read: {broken}.") from None
        if links:
            raise ValueError(
                f"{path.name} holds links that are not followed, such as {links[0]}. Put the files themselves in place "
                "of each, or take it out."
            )
        if others:
            raise ValueError(
                f"{path.name} holds pictures of other kinds than PNG and JPEG, such as {others[0]}. Save each as PNG, "
                "or take it out."
            )
        if not names:
            raise ValueError(f"{path.name} holds no PNG and no JPEG files.")
        if len({len(name.parts) > 1 for name in names}) > 1:
            raise ValueError(
                f"{path.name} holds pictures in folders and outside of them. Each stands in that of its class."
            )
        return cls(path, names)

    @property
    def labels(self) -> list[str] | None:
        """By file, the name of its folder; None where they stand in none."""
        return [name.parts[-2] for name in self.names] if len(self.names[0].parts) > 1 else None

    def __iter__(self) -> Iterator[bytes]:
        """Raises ValueError, which names the file, for one that is too large, cannot be unpacked or is no picture."""
        if self.path.is_dir():
            for name in self.names:
                with (self.path / name).open("rb") as file:
                    yield _picture(name, file)
            return
        with zipfile.ZipFile(self.path) as archive:
            entries = _entries(archive)
            for name in self.names:
                try:
                    with archive.open(entries[name]) as file:
                        data = _picture(name, file)
                except UNPACKING as fault:
                    raise ValueError(f"{name} cannot be unpacked: {fault}.") from None
                yield data


UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError, RuntimeError)
"""What `zipfile` raises for what is broken, has a password, or is packed in a way that it does not know."""


def _picture(name: PurePosixPath, file: IO[bytes]) -> bytes:
    data = file.read(len(max(BEGINNINGS, key=len)))
    if not data.startswith((*BEGINNINGS,)):
        raise ValueError(f"{name} is no picture: it begins neither as PNG nor as JPEG files do.")
    data += file.read(MOST_BYTES + 1 - len(data))
    if len(data) > MOST_BYTES:
        raise ValueError(f"{name} has more than {MOST_BYTES:,} bytes. Make it smaller.")
    return data


def _names(path: Path) -> tuple[list[PurePosixPath], list[PurePosixPath], list[PurePosixPath]]:
    """-> files that are called as PNG and JPEG files are, those that are called as other pictures are, and links that
    are not followed: to folders, to nothing, and all of a zip file. Sorted."""
    if path.is_dir():
        below = {PurePosixPath(file.relative_to(path).as_posix()): file for file in path.rglob("*")}
        paths = [name for name, file in below.items() if file.is_file()]
        links = [name for name, file in below.items() if file.is_symlink() and not file.is_file()]
    else:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive)
        paths = [*entries]
        links = [name for name, entry in entries.items() if stat.S_ISLNK(entry.external_attr >> 16)]
    kept, links = _seen(paths), _seen(links)
    called = [[name for name in kept if name.suffix.lower() in endings] for endings in (ENDINGS, OTHER_ENDINGS)]
    return called[0], called[1], links


def _seen(names: list[PurePosixPath]) -> list[PurePosixPath]:
    """Those that are not hidden, sorted."""
    hidden = ("__MACOSX", ".")
    return sorted(name for name in names if not any(part.startswith(hidden) for part in name.parts))


def _entries(archive: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files of an archive by their names, as they are once it is unpacked: "./cats/1.png" is "cats/1.png", so is
    "cats\\1.png", as some programs of Windows write it, and of two with one name the later is there."""
    return {
        PurePosixPath(entry.filename.replace("\\", "/")): entry
        for entry in archive.infolist()
        if entry.filename and not entry.is_dir()
    }
