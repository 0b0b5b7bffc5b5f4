"""Tsuika: a service that keeps a deployed model current."""

__version__ = "0.1.0"
