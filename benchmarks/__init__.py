"""Benchmarks: commands that measure, beside a peer or a limit. They take `--data DIR` or TSUIKA_BENCH_DATA.

They compute on one thread, as the process that learns does.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
