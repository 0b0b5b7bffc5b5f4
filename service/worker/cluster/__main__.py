"""Stands in the place of the learning process, and has a Ray cluster learn:
`python -m service.worker.cluster THREADS ADDRESS`.

It speaks with the parent as that process does. It is a process of its own since Ray ends those that have lost their
cluster; when it ends, Ray ends what it had started there.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray

from service.errors import Cancelled, ChildLost, ClusterAway, MethodRefused
from service.settings import folder_of, inherited_log_format
from service.storage.local import TEMPORARY
from service.telemetry import logs
from service.tuning import child
from service.tuning.messages import End, Ready, Refused
from service.worker.child.answering import Assigned, Pipes
from service.worker.cluster.connection import Attempt, Facts, cannot_load, nodes, unusable
from service.worker.cluster.learner import Learner

ROOM_SECONDS = 60.0
"""How long an update waits for a node with room for it, before it goes back to the queue."""
LOOK_SECONDS = 0.1
"""Time between two looks at whether the parent has asked to stop."""

log = logging.getLogger("tsuika.ray")


class Cluster:
    """The learning process on the cluster, as the parent's messages reach it. It stays for the next update, but for one
    that holds a GPU."""

    def __init__(self, address: str, threads: int, parent: Pipes) -> None:
        self._address, self._threads, self._parent = address, threads, parent
        self._attempt: Attempt | None = None
        self._learner: Any = None
        self._gpus = 0

    def warm(self) -> None:
        """Connects, and has a learning process loaded ahead of its first assignment. Raises ClusterAway."""
        self._connect()
        self._start(0)
        self._learner.load.remote()

    @property
    def hangs(self) -> bool:
        """Whether an attempt to connect goes on past its time: the next one needs a fresh process."""
        return self._attempt is not None and self._attempt.goes_on

    def learn(self, assignment: Assigned) -> None:
        """Has an assignment learned, and passes on what comes of it. Raises ClusterAway, MethodRefused, Cancelled."""
        if not ray.is_initialized():
            self._parent.progress("connecting", 0, 1)
        self._connect()
        gpus = _gpus_of(assignment)
        if self._learner is None or gpus != self._gpus or self._lost():
            self._start(gpus)
        try:
            self._wait_for_room()
            cached = self._sees_cache(assignment)
            self._pass_on(self._learner.learn.options(num_returns="streaming").remote(assignment, cached))
        except BaseException:
            self._end()
            raise
        finally:
            if gpus:
                self._end()

    def _pass_on(self, messages: Any) -> None:
        """Sends the parent each message up to the end; has the learning process stop once the parent asks for that."""
        asked = False
        while True:
            ready, _ = ray.wait([messages], timeout=LOOK_SECONDS)
            if self._parent.cancelled.is_set() and not asked:
                asked = True
                self._learner.cancel.remote()
            if ready:
                self._parent.send(message := ray.get(next(messages)))
                if isinstance(message, End):
                    return

    def _connect(self) -> None:
        if ray.is_initialized():
            return
        if not self.hangs:
            self._attempt = Attempt(self._address, self._threads)
        assert self._attempt is not None
        self._attempt.wait()

    def _start(self, gpus: int) -> None:
        """Asks for a learning process with these resources. Raises MethodRefused where no node ever has them."""
        self._end()
        if gpus and not _has_gpu():
            raise MethodRefused(
                "This update is to train on a GPU, and no node of the Ray cluster has one. Add a node with a GPU, or "
                'ask for the device "cpu" (TSUIKA_DEVICE).'
            )
        self._gpus = gpus
        resources = {"num_cpus": self._threads, "num_gpus": gpus}
        self._learner = ray.remote(Learner).options(max_concurrency=2, **resources).remote(self._threads)

    def _lost(self) -> bool:
        """Whether the learning process has died since the last update, or its node has."""
        try:
            ray.get(self._learner.facts.remote([]), timeout=LOOK_SECONDS)
        except ray.exceptions.GetTimeoutError:
            return False
        except ray.exceptions.RayError:
            return True
        return False

    def _wait_for_room(self) -> None:
        """Returns once the learning process runs. Raises ClusterAway past the time, and where it cannot begin."""
        asked, began = self._learner.facts.remote([]), time.monotonic()
        while not ray.wait([asked], timeout=LOOK_SECONDS)[0]:
            self._parent.check()
            waited = time.monotonic() - began
            self._parent.progress("waiting for the cluster", int(waited), int(ROOM_SECONDS))
            if waited > ROOM_SECONDS:
                gpus = f" and {self._gpus} GPU" if self._gpus else ""
                needs = f"an update takes {self._threads} CPU{'s' if self._threads > 1 else ''}{gpus} of one node"
                raise ClusterAway(f"The Ray cluster has no room: {needs}. {_room()}")
        try:
            facts: Facts = ray.get(asked)
        except ray.exceptions.RayError as error:
            if cannot_load(error):
                raise unusable("that was chosen", error) from error
            raise
        ours = Facts.here()
        if facts.versions["tsuika"] != ours.versions["tsuika"]:
            raise ClusterAway(" ".join([*facts.strange(ours), "Install the same version everywhere."]))

    def _sees_cache(self, assignment: Assigned) -> bool:
        """Whether the node sees the parent's cache. Raises ClusterAway where it does not see what it needs."""
        places = assignment["places"]
        store, cache = folder_of(places["store"]), Path(places["cache"])
        with ExitStack() as stack:
            probes = [stack.enter_context(_probe(store / TEMPORARY))] if store is not None else []
            needed = [*probes, *assignment["weights"].values()]
            in_cache = stack.enter_context(_probe(cache))
            facts: Facts = ray.get(self._learner.facts.remote([*needed, in_cache]))
        if missing := [path for path in needed if path in facts.unseen]:
            what = f"the store, folder {store}" if missing[0] in probes else missing[0]
            raise ClusterAway(
                f"Node {facts.node} of the Ray cluster does not see {what}. Let TSUIKA_STORE_URL name a bucket of S3, "
                "or have all nodes mount what the worker names, at the same path."
            )
        return in_cache not in facts.unseen

    def _end(self) -> None:
        """Ends the learning process and gives back what it holds."""
        learner, self._learner = self._learner, None
        if learner is not None:
            with suppress(ray.exceptions.RayError):
                ray.kill(learner)


def _gpus_of(assignment: Assigned) -> int:
    """GPUs that an update takes, by its device: `auto` takes one where a node has one."""
    device = str(assignment.get("device", "cpu"))
    return int(device.startswith("cuda") or (device == "auto" and _has_gpu()))


def _has_gpu() -> bool:
    """Whether a node of the cluster has a GPU."""
    return any(node["Resources"].get("GPU") for node in nodes())


def _room() -> str:
    """What of the cluster is free, in words."""
    free, total = ray.available_resources(), ray.cluster_resources()
    parts = [f"{free.get(kind, 0):g} of {total[kind]:g} {kind}s" for kind in ("CPU", "GPU") if kind in total]
    return f"Free are {' and '.join(parts)}. Add a node, or end what else runs there." if parts else "It has no CPU."


@contextmanager
def _probe(folder: Path) -> Iterator[str]:
    """The path of a file that exists for a moment, so that a node can tell whether it sees this very folder."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        yield file.name


def main() -> None:
    """Has assignments learned until the parent is gone."""
    logs.set_up(inherited_log_format(), "cluster")
    parent = Pipes(sys.stdin, child.begin("normal"))
    cluster = Cluster(sys.argv[2], int(sys.argv[1]), parent)
    try:
        cluster.warm()
    except ClusterAway as away:
        log.warning("%s", away.detail)
    parent.send(Ready())
    while True:
        assignment = parent.assignments.get()
        try:
            cluster.learn(assignment)
        except (ClusterAway, MethodRefused, Cancelled) as error:
            parent.send(Refused.of(error))
            if cluster.hangs:
                os._exit(1)
        except ray.exceptions.RayError as error:
            detail = f"The process that learned on the Ray cluster was lost: {str(error).partition(chr(10))[0]}"
            parent.send(Refused.of(ChildLost(detail[:500])))


if __name__ == "__main__":
    main()
