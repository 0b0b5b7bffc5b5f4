"""The process that reads large bodies: `python -m service.api.reader STORE_URL MEMORY_BYTES PRIORITY RESERVE`."""

from __future__ import annotations

import sys

from service.tuning import child


def main() -> None:
    """Lowers its priority before its imports, which take a fifth of a second; then runs tasks until the parent is
    gone."""
    sink = child.begin(sys.argv[3])
    from service.api.reader.tasks import work

    work(sys.argv[1], int(sys.argv[4]), int(sys.argv[2]), sys.stdin, sink)


if __name__ == "__main__":
    main()
