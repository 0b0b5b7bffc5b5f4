"""The process that reads large bodies: `python -m service.api.reader STORE MEMORY_BYTES PRIORITY`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from service.tuning.priority import end_with_parent, step_aside


def main() -> None:
    """Lowers its priority before its imports, which take a fifth of a second; then runs tasks until the parent is
    gone."""
    sink = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed must not garble the answers
    end_with_parent()
    step_aside(sys.argv[3])
    from service.api.reader.tasks import work

    work(Path(sys.argv[1]), int(sys.argv[2]), sys.stdin, sink)


if __name__ == "__main__":
    main()
