"""The connection of this process to a Ray cluster: made within bounds, and what its nodes are like."""

from __future__ import annotations

import logging
import os
import platform
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from service import __version__
from service.errors import ClusterAway
from service.tuning.child import THREADS

CONNECT_SECONDS = 20.0
"""How long a cluster may take to answer: one whose head is gone would keep us for minutes."""
KNOCK_SECONDS = 3.0
"""How long the port of a head may take to open."""
NODE_SECONDS = 30.0
"""How long a node may take to say what it is like, a process of it started for that."""
LIBRARIES = ("torch", "numpy", "ray")
"""Whose versions bits may depend on."""

log = logging.getLogger("tsuika.ray")


@dataclass(frozen=True)
class Facts:
    """What a process of a node is like. versions: of Tsuika, Python and libraries, "" where one is missing · unseen:
    files and folders, of those asked for, that it does not see."""

    node: str
    versions: dict[str, str]
    unseen: list[str]

    @classmethod
    def here(cls, paths: Sequence[str] = ()) -> Facts:
        versions = {"tsuika": __version__, "python": platform.python_version()}
        for library in LIBRARIES:
            try:
                versions[library] = version(library)
            except PackageNotFoundError:
                versions[library] = ""
        unseen = [path for path in paths if not Path(path).exists()]
        return cls(platform.node(), versions, unseen)

    def strange(self, ours: Facts) -> list[str]:
        """Sentences about versions that are not `ours`."""
        return [
            f"{name} is {self.versions[name] or 'missing'} on node {self.node}, and {expected} here."
            for name, expected in ours.versions.items()
            if self.versions[name] != expected
        ]


class Attempt:
    """Connects this process, as a job whose processes have so many threads each.

    Ray may try for minutes, and nothing ends its attempt but the end of the process: so it tries in a thread.
    """

    def __init__(self, address: str, threads: int) -> None:
        self._address = address
        self._options = {"runtime_env": {"env_vars": dict.fromkeys(THREADS, str(threads))}, "log_to_driver": False}
        self._reason: BaseException | None = None
        self._thread = threading.Thread(target=self._connect, daemon=True, name="connect")
        self._thread.start()

    @property
    def goes_on(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        """Returns once connected. Raises ClusterAway where that fails or takes too long."""
        self._thread.join(CONNECT_SECONDS)
        if self.goes_on or self._reason is not None:
            why = str(self._reason).partition("\n")[0][:300] if self._reason else f"no answer in {CONNECT_SECONDS:g} s"
            raise ClusterAway(
                f"No Ray cluster can be used at {self._address} (TSUIKA_RAY): {why.rstrip('.')}. Start one with `ray "
                "start --head`, or join this machine to one with `ray start --address=HEAD:6379`; updates wait."
            )

    def _connect(self) -> None:
        try:
            host, colon, port = self._address.rpartition(":")
            if colon:
                socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
            logging.getLogger("ray").setLevel(logging.ERROR)
            ray.init(address=self._address, configure_logging=False, **self._options)
        except BaseException as reason:
            self._reason = reason


def nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def facts_of(node: dict[str, Any], paths: Sequence[str]) -> Facts:
    """What a process on that node is like. Raises ClusterAway where none can load Tsuika."""
    where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    asked = ray.remote(_facts).options(num_cpus=0, scheduling_strategy=where, max_retries=0).remote(list(paths))
    try:
        facts: Facts = ray.get(asked, timeout=NODE_SECONDS)
    except ray.exceptions.RayError as error:
        raise unusable(node["NodeManagerHostname"], error) from error
    return facts


def _facts(paths: Sequence[str]) -> Facts:
    return Facts.here(paths)


def cannot_load(error: Exception) -> bool:
    """Whether a process of the cluster lacks a module."""
    return "No module named" in str(error)


def unusable(node: str, error: Exception) -> ClusterAway:
    """What is said where a process of a node could not begin."""
    last = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__).strip()
    if cannot_load(error):
        remedy = f"Install there what is installed here: the extra ray of tsuika {__version__}."
        return ClusterAway(f"Node {node} of the Ray cluster cannot run Tsuika: {last[:300]}. {remedy}")
    return ClusterAway(f"Node {node} of the Ray cluster does not answer: {last[:300]}")
