"""The process between a worker and the cluster, which waits for room for a second alone."""

from __future__ import annotations

from service.worker.cluster import __main__ as program

if __name__ == "__main__":
    program.ROOM_SECONDS = 1.0
    program.main()
