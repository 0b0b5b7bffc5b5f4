"""The application in process, as the tests of the API have it."""

from __future__ import annotations

from tests.api.conftest import api, lasting, make_api

__all__ = ["api", "lasting", "make_api"]
