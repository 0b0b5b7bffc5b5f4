"""The client of Tsuika: `from tsuika import Client`."""

from service.client import *  # noqa: F403 - these names are exactly the client's
from service.client import __all__ as __all__
