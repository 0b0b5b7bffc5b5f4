"""A cell of a hundred thousand digits, of a file or of its header, costs what its length says and no more.

What reads it holds the interpreter meanwhile, so all that is asked of the service waits as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from service.guessing.column_facts import input_of
from service.guessing.csv_files.dialect import PLAIN, SAID_NOTHING, Dialect
from service.guessing.csv_files.facts import by_cells, facts_of
from service.intake.formats.csv_cells import ColumnFault, Written, number_reader
from service.intake.kinds.labels import NUMBER


def taken(digits: str) -> None:
    for dialect in (PLAIN, Dialect(";", ",")):
        with pytest.raises(ColumnFault):
            number_reader(Written(dialect)).read([digits])


def signed(digits: str) -> None:
    by_cells([["a"], [digits], [f"1.{digits}"]], Dialect(";"), SAID_NOTHING)


def guessed(digits: str) -> None:
    input_of(facts_of([[digits, "b"], ["1", "2"]]))


def columns(digits: str) -> None:
    facts_of([[f"{k:x}" for k in range(len(digits))], []])


@pytest.mark.parametrize("read", [taken, signed, NUMBER.fullmatch, guessed, columns])
def test_twenty_times_as_long_takes_no_hundred_times_as_long(read: Callable[[str], object]) -> None:
    short, long = (seconds(read, "1" * n + "x") for n in (1_000, 20_000))
    assert long < 100 * max(short, 1e-4)


def seconds(read: Callable[[str], object], text: str) -> float:
    """The shortest of three times."""
    times = []
    for _ in range(3):
        began = time.process_time()
        read(text)
        times.append(time.process_time() - began)
    return min(times)
