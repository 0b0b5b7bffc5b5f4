"""A folder or a zip file of pictures as rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from service.client.errors import WrongFile
from service.guessing.picture_files import ENDINGS, PictureFiles, holds_pictures


def opened(inputs: Any, labels: Any = None) -> tuple[Any, Any]:
    """The pictures of a folder or a zip file, and the names of their folders where no labels are given; one picture by
    its path; all else as it is. Raises WrongFile."""
    if not isinstance(inputs, str | os.PathLike):
        return inputs, labels
    path = Path(inputs)
    if path.suffix.lower() in ENDINGS and path.is_file():
        return [path], labels
    if not path.exists() or not holds_pictures(path):
        return inputs, labels
    try:
        files = PictureFiles.below(path)
        return [*files], files.labels if labels is None else labels
    except ValueError as fault:
        raise WrongFile(str(fault)) from None
