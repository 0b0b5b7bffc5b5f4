"""Tsuika: a service that keeps a deployed classifier current."""

__version__ = "0.1.0"
