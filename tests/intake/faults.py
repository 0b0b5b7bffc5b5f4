"""What a reader refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.errors import InvalidContent


@contextmanager
def refused(pointer: str, sentence: str) -> Iterator[None]:
    """Asserts that the block refuses content at this place alone, with these words."""
    with pytest.raises(InvalidContent) as caught:
        yield
    assert [at for at, _ in caught.value.errors] == [pointer]
    assert sentence in caught.value.detail
