"""Pictures in a folder or a zip file, as a file of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile, Record
from service.guessing.picture_files import PictureFiles


def pictures(path: Path) -> DataFile:
    """The column `image` holds the bytes of a file, `label` the name of its folder; without folders there are no
    labels. Raises WrongUsage."""
    try:
        files = PictureFiles.below(path)
    except ValueError as fault:
        raise WrongUsage(str(fault)) from None
    labels = files.labels

    def records() -> Iterator[Record]:
        try:
            for k, data in enumerate(files):
                yield Record(str(files.names[k]), [data] if labels is None else [data, labels[k]])
        except ValueError as fault:
            raise WrongUsage(f"{path.name}: {fault}") from None

    return DataFile(path, ("image",) if labels is None else ("image", "label"), "picture", records)
