"""What a Ray cluster lacks for updates to learn there, node by node, seen before the first of them needs it."""

from __future__ import annotations

from dataclasses import dataclass

from service.errors import ClusterAway
from service.settings import Settings
from service.worker.cluster.connection import Attempt, Facts, facts_of, nodes


@dataclass(frozen=True)
class Preflight:
    """A line for each node, and for each fault. ready: whether every node can learn."""

    lines: list[str]
    ready: bool


def preflight(settings: Settings) -> Preflight:
    """Asks every node. Raises ClusterAway where no cluster answers."""
    assert settings.ray is not None
    Attempt(settings.ray, settings.child_threads).wait()
    folder = settings.store_folder
    needed = [*([str(folder)] if folder is not None else []), *settings.weights.values()]
    lines, faults, ours = list[str](), list[str](), Facts.here()
    for node in sorted(nodes(), key=lambda node: str(node["NodeManagerHostname"])):
        has = node["Resources"]
        room = (
            ", ".join(f"{has[kind]:g} {kind}" for kind in ("CPU", "GPU") if has.get(kind)) or "no CPU: it only connects"
        )
        try:
            facts = facts_of(node, needed)
        except ClusterAway as away:
            lines.append(f"{node['NodeManagerHostname']}: {room}")
            faults.append(away.detail)
            continue
        lines.append(f"{facts.node}: {room}; " + ", ".join(f"{name} {v}" for name, v in facts.versions.items()))
        faults += facts.strange(ours)
        faults += [f"Node {facts.node} does not see {path}: have all nodes mount it there." for path in facts.unseen]
    if folder is not None and not folder.exists():
        faults.append(f"{folder} is not here, either: mount it, or start `tsuika serve` once, which makes it.")
    if not any(node["Resources"].get("CPU", 0) >= settings.child_threads for node in nodes()):
        faults.append(f"No node has {settings.child_threads} CPU, which an update takes (TSUIKA_CHILD_THREADS).")
    return Preflight(
        [*lines, *faults, "Updates can learn here." if not faults else "Updates cannot learn everywhere."], not faults
    )
