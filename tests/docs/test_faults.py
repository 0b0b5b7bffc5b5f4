"""The table of faults names tests that there are, and `.ci/run` runs each in the environment of its column."""

from __future__ import annotations

import re

from tests.docs.typed import DOCS
from tests.running import ROOT

TABLE = (DOCS / "faults.md").read_text().partition("| what must hold |")[2].partition("\n\n")[0]
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines()[2:]]
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
SAME, ELSEWHERE = "the same", "-"
RUNS = re.findall(r'^"\$bin/pytest"([^>&\n]*)', (ROOT / ".ci" / "run").read_text().replace("\\\n", " "), re.MULTILINE)
"""The options and places of each run of tests."""


def due(column: int) -> set[str]:
    """Tests of an environment: the second column has those of one process, the third those of several machines."""
    cells = [row[1] if column == 2 and row[2] == SAME else row[column] for row in ROWS]
    return {f"tests/{file}::{name}" for cell in cells for file, name in TEST.findall(cell)}


def test_each_row_names_tests_that_there_are() -> None:
    assert len(ROWS) > 30
    for what, *environments in ROWS:
        assert any(TEST.search(cell) for cell in environments), what
        for cell in environments:
            assert TEST.search(cell) or cell in (SAME, ELSEWHERE), (what, cell)
            for file, name in TEST.findall(cell):
                assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(), (file, name)


def is_marked(test: str, mark: str) -> bool:
    """Whether each case of a test has the mark, by itself or as all of its file."""
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text()
    own = text.partition(f"\ndef {name}(")[0].rpartition("\n\n")[2]
    of_file = re.findall(r"^pytestmark = (.*)$", text, re.MULTILINE)
    return f"\n@pytest.mark.{mark}\n" in f"\n{own}\n" or any(f"mark.{mark}" in marks for marks in of_file)


def test_each_is_run_where_it_is_due() -> None:
    runs = [options.split() for options in RUNS]
    assert [] in runs, "all that is not long"
    assert ["--long", "-m", "long", "-n", "2"] in runs, "and all that is"
    assert not [
        (test, mark) for test in due(1) for mark in ("postgres", "s3", "ray", "browser") if is_marked(test, mark)
    ]
    for test in due(2):
        assert not is_marked(test, "sqlite"), test
        where = "--ray" if is_marked(test, "ray") else "--postgres"
        several = [options for options in runs if where in options and is_marked(test, "long") == ("long" in options)]
        assert any(test.startswith(place) for options in several for place in options), test
