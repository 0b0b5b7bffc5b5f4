"""Benchmarks: commands that measure, beside a peer or a limit. They take `--data DIR` or TSUIKA_BENCH_DATA.

The files here are the commands. streams/: rows that arrive in batches · learners/: everybody who learns them, one
contract (learner.py), the service by its own updates (service.py), peers each in one file · running/: a model in
process (workbench.py), and what it takes · tables/: records and tables · servers/: what benchmarks.serving starts and
asks. Begin with learning.py. They compute on one thread, as the process that learns does.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
