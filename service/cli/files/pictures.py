"""Pictures in a folder or a zip file: PNG and JPEG, in a folder of their class each."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile, Record

ENDINGS = (".png", ".jpg", ".jpeg")


def pictures(path: Path) -> DataFile:
    """The column `image` holds the bytes of a file, `label` the name of its folder; without folders there are no
    labels. Raises WrongUsage."""
    try:
        names = _names(path)
    except zipfile.BadZipFile as broken:
        raise WrongUsage(f"{path.name} is no zip file: {broken}.") from None
    if not names:
        raise WrongUsage(f"{path.name} holds no PNG and no JPEG files.")
    labelled = len(names[0].parts) > 1
    if any((len(name.parts) > 1) != labelled for name in names):
        raise WrongUsage(
            f"{path.name} holds pictures in folders and outside of them. Each stands in that of its class."
        )

    def records() -> Iterator[Record]:
        for name, data in _contents(path, names):
            yield Record(str(name), [data, name.parts[-2]] if labelled else [data])

    return DataFile(path, ("image", "label") if labelled else ("image",), "picture", records)


def _names(path: Path) -> list[PurePosixPath]:
    """The files by their names below `path`, in order; hidden ones are passed over."""
    if path.is_dir():
        paths = [PurePosixPath(file.relative_to(path).as_posix()) for file in path.rglob("*") if file.is_file()]
    else:
        with zipfile.ZipFile(path) as archive:
            paths = [PurePosixPath(info.filename) for info in archive.infolist() if not info.is_dir()]
    hidden = ("__MACOSX", ".")
    kept = [name for name in paths if not any(part.startswith(hidden) for part in name.parts)]
    return sorted(name for name in kept if name.suffix.lower() in ENDINGS)


def _contents(path: Path, names: list[PurePosixPath]) -> Iterator[tuple[PurePosixPath, bytes]]:
    if path.is_dir():
        for name in names:
            yield name, (path / name).read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        for name in names:
            yield name, archive.read(str(name))
