"""How far back a version is compared with what its lineage remembers."""

from __future__ import annotations

from service.learning.evaluation.assessment import ages


def test_the_last_ten_then_doubled_ages_and_the_first() -> None:
    for versions, looked_back_on in [
        (0, []),
        (1, [1]),
        (10, [*range(1, 11)]),
        (15, [*range(1, 11), 15]),
        (16, [*range(1, 11), 16]),
        (40, [*range(1, 11), 16, 32, 40]),
        (1000, [*range(1, 11), 16, 32, 64, 128, 256, 512, 1000]),
    ]:
        assert ages(10, versions) == looked_back_on, versions
