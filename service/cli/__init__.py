"""The command `tsuika`."""

from service.cli.app import main

__all__ = ["main"]
