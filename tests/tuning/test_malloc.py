"""Freed memory stays with a process that serves, up to a bound."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource, sys
import numpy as np
from service.tuning.malloc import keep_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = keep_freed() if sys.argv[1] == "kept" else True
for k in range(30):
    if k == 10:
        before = faults()
    pieces = [np.ones(3 * 2**18) for _ in range(6)]  # 6 MB each
    pieces.clear()
print(kept, faults() - before)
"""


def test_freed_pages_are_not_asked_for_again() -> None:
    def run(mode: str) -> tuple[bool, int]:
        command = [sys.executable, "-c", PROGRAM, mode]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return printed[0] == "True", int(printed[1])

    (kept, few), (_, usual) = run("kept"), run("as usual")
    assert few <= usual
    assert not kept or few < 2000  # of 184,320 pages
