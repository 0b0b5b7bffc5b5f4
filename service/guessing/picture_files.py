"""Pictures in a folder or a zip file: PNG and JPEG, in a folder of their class each."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ENDINGS = (".png", ".jpg", ".jpeg")


def holds_pictures(path: Path) -> bool:
    """Whether it is read as pictures, by what it is."""
    return path.is_dir() or path.suffix.lower() == ".zip"


@dataclass(frozen=True)
class PictureFiles:
    """names: of the files below `path`, sorted. Iterating reads them one after another."""

    path: Path
    names: list[PurePosixPath]

    @classmethod
    def below(cls, path: Path) -> PictureFiles:
        """Hidden files are passed over. Raises ValueError where there are none, or some stand in folders and others
        outside of them."""
        try:
            names = _names(path)
        except zipfile.BadZipFile as broken:
            raise ValueError(f"{path.name} is no zip file: {broken}.") from None
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
        if self.path.is_dir():
            for name in self.names:
                yield (self.path / name).read_bytes()
            return
        with zipfile.ZipFile(self.path) as archive:
            for name in self.names:
                yield archive.read(str(name))


def _names(path: Path) -> list[PurePosixPath]:
    if path.is_dir():
        paths = [PurePosixPath(file.relative_to(path).as_posix()) for file in path.rglob("*") if file.is_file()]
    else:
        with zipfile.ZipFile(path) as archive:
            paths = [PurePosixPath(info.filename) for info in archive.infolist() if not info.is_dir()]
    hidden = ("__MACOSX", ".")
    kept = [name for name in paths if not any(part.startswith(hidden) for part in name.parts)]
    return sorted(name for name in kept if name.suffix.lower() in ENDINGS)
