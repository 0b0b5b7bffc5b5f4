"""The application in process, as the tests of the routes have it."""

from tests.api.conftest import make_api

__all__ = ["make_api"]
