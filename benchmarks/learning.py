"""How well each method learns what arrives in steps, beside joint retraining, by the service's own updates.

    python -m benchmarks.learning [--data FOLDER] [--streams digits,mnist10k,letter] [--methods auto,ridge] [--seeds N]

FOLDER (or TSUIKA_BENCH_DATA) holds NAME.npz of each stream's data; digits come with scikit-learn. A version that the
gate stops is promoted by hand and counted, so that each stream is learned to its end. Names with a star are published
heads on the same features, written down here in numpy.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.results import report
from benchmarks.streams.heads import PUBLISHED
from benchmarks.streams.layout import laid_out
from benchmarks.streams.learners import by_joint, by_published, by_service
from benchmarks.streams.streams import STREAMS, Stream, data_option
from benchmarks.tables.learned import JOINT, Learned, keep, kept
from benchmarks.tables.terminal import bar
from service.learning.methods import AUTO, METHODS

NAMES = (JOINT, AUTO, *METHODS, *PUBLISHED)


def run(arguments: argparse.Namespace) -> list[Learned]:
    """All streams, seeds and methods. What the file of results already has is not run again."""
    file: Path | None = arguments.json
    runs = kept(file) if file is not None and file.exists() else []
    done = {(r.stream, r.method, r.seed) for r in runs}
    rounds = [(s, seed) for s in arguments.streams for seed in arguments.seeds or range(s.seeds)]
    methods = list(dict.fromkeys([JOINT, *arguments.methods]))
    with bar(len(rounds) * len(methods)) as advance:
        for stream, seed in rounds:
            laid = laid_out(stream, arguments.data, arguments.features, seed)
            for method in methods:
                if (stream.name, method, seed) not in done:
                    if method == JOINT:
                        learned = by_joint(laid)
                    elif method in PUBLISHED:
                        learned = by_published(laid, method)
                    else:
                        learned = by_service(laid, method)
                    runs.append(keep(learned, file))
                advance(f"{stream.name} {seed}: {method}")
    return runs


def warm() -> None:
    """What torch does once in a process is no stream's doing."""
    layer = torch.nn.Linear(8, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    torch.autograd.backward(
        torch.nn.functional.cross_entropy(layer(torch.ones(4, 8)), torch.zeros(4, dtype=torch.int64))
    )
    optimizer.step()


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    arguments = _arguments(words)
    torch.set_num_threads(1)
    warm()
    try:
        runs = run(arguments)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(report(runs)))
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.learning", description=__doc__.split("\n\n")[0] if __doc__ else None)
    data_option(parser, "folder of the streams' NAME.npz")
    parser.add_argument(
        "--features", type=Path, help="folder that keeps the backbones' features, NAME.npz; made where they are missing"
    )
    parser.add_argument(
        "--streams", type=_streams, help=f"of {', '.join(STREAMS)}, or a data set; by default all that have their data"
    )
    parser.add_argument(
        "--methods",
        type=_methods,
        default=",".join([AUTO, *METHODS]),
        help="names, with commas; parameters behind colons: den:memory_rows=200",
    )
    parser.add_argument(
        "--seeds", type=seeds, help="how many, or 1-4: splits of digits, class orders; by default 5 where cheap"
    )
    parser.add_argument("--json", type=Path, help="file for the results, a line each; what it has is not run again")
    arguments = parser.parse_args(words)
    if arguments.streams is None:
        available = [s for s in STREAMS.values() if s.data == "digits" or _has(arguments.data, s)]
        arguments.streams = available
    return arguments


def seeds(text: str) -> range:
    """ "3" is 0 to 2, "1-4" is 1 to 4."""
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else range(int(first))


def _has(folder: Path | None, stream: Stream) -> bool:
    return folder is not None and (folder / f"{stream.data}.npz").is_file()


def _streams(text: str) -> list[Stream]:
    """By name, or all of a data set that is no stream's name."""
    streams: list[Stream] = []
    for word in text.split(","):
        matching = [STREAMS[word]] if word in STREAMS else [s for s in STREAMS.values() if s.data == word]
        if not matching:
            raise argparse.ArgumentTypeError(f"no stream {word}; there are {', '.join(STREAMS)}")
        streams += matching
    return streams


def _methods(text: str) -> list[str]:
    names = [n for n in re.split(r",(?![^\[]*\])", text) if n]
    if unknown := {n.partition(":")[0] for n in names} - {*NAMES}:
        raise argparse.ArgumentTypeError(f"no method {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
