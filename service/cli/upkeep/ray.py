"""`tsuika ray`: whether updates can learn on the Ray cluster, and what each node lacks for that."""

from __future__ import annotations

from service.cli.exits import DONE, ERROR
from service.cli.options import Json
from service.cli.output import print_result
from service.errors import ClusterAway, ImpossibleSettings


def run(as_json: Json = False) -> int:
    """Says whether updates can learn on the Ray cluster that TSUIKA_RAY names, and what each node lacks for that."""
    from service.settings import Settings

    settings = Settings.from_environment()
    if settings.ray is None:
        raise ImpossibleSettings("TSUIKA_RAY is not set: updates learn in a process beside the worker.")
    from service.worker.cluster.preflight import preflight

    try:
        findings = preflight(settings)
    except ClusterAway as away:
        print_result("ray", {"ready": False, "lines": [away.detail]}, [away.detail], as_json)
        return ERROR
    print_result("ray", {"ready": findings.ready, "lines": list(findings.lines)}, findings.lines, as_json)
    return DONE if findings.ready else ERROR
