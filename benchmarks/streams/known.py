"""Every stream by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.streams.mixed import CLASS_TABLES, TABLES
from benchmarks.streams.steps import PLANS
from benchmarks.streams.stream import Stream
from benchmarks.streams.vectors import VECTORS, of_file

AS_THEY_CAME = {**VECTORS, **TABLES}
NAMES = (*PLANS, *AS_THEY_CAME)
OF_NUMBERS = tuple(name for name in AS_THEY_CAME if name not in ("elec2", *(made.__name__ for made in CLASS_TABLES)))


def stream_of(name: str, folder: Path | None, seed: int = 0, kept: Path | None = None) -> Stream:
    """One of these, or that of a file NAME.npz with X [n, d], numbers y [n] and batch [n].

    kept: folder of backbones' features. Raises FileNotFoundError where data are missing.
    """
    if name in PLANS:
        return PLANS[name].stream(folder, seed, kept)
    made = AS_THEY_CAME[name](folder) if name in AS_THEY_CAME else of_file(name, folder)
    return replace(made, seed=seed)


def names_of(words: Sequence[str]) -> list[str]:
    """By name, or all steps of a data set that is no stream's name."""
    return [
        name
        for word in words
        for name in ([] if word in NAMES else [n for n in PLANS if PLANS[n].data == word]) or [word]
    ]
