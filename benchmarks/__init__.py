"""Benchmarks: commands that measure, beside a peer or a limit. They take `--data DIR` or TSUIKA_BENCH_DATA."""
