"""`tsuika ray`: whether updates can learn on the Ray cluster, and what each node lacks for that."""

from __future__ import annotations

import argparse

from service.cli.exits import DONE, ERROR
from service.errors import ClusterAway, ImpossibleSettings
from service.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Starts a process on each node, and prints what it found."""
    settings = Settings.from_environment()
    if settings.ray is None:
        raise ImpossibleSettings("TSUIKA_RAY is not set: updates learn in a process beside the worker.")
    from service.worker.cluster.preflight import preflight

    try:
        findings = preflight(settings)
    except ClusterAway as away:
        print(away.detail)
        return ERROR
    for line in findings.lines:
        print(line)
    return DONE if findings.ready else ERROR
