"""The learning process: `python -m service.worker.child THREADS PRIORITY`.

Reads assignments, and answers each with progress and a result.
"""

from __future__ import annotations

import sys

from service.settings import inherited_log_format
from service.telemetry import logs, tracing
from service.tuning import child
from service.tuning.messages import Ready
from service.worker.child.answering import Pipes, answer, load


def main() -> None:
    """Executes assignments until the parent is gone."""
    logs.set_up(inherited_log_format(), "learning")
    tracing.start("learning")
    parent = Pipes(sys.stdin, child.begin(sys.argv[2]))
    executor = load(int(sys.argv[1]))
    parent.send(Ready())
    while True:
        answer(executor, parent.assignments.get(), parent)


if __name__ == "__main__":
    main()
