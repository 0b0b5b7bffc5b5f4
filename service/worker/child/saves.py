"""Trainings and features of an update in the store: saved every few minutes, and read by the attempt after this one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch

from service import __version__
from service.errors import CorruptArtifact, DiskFull, NotWritable
from service.learning.data.serialization import pack, unpack
from service.learning.devices import described, device_named
from service.learning.run import Reached, Saved, Trainings
from service.storage.artifacts import Artifacts
from service.worker.assignment import Assignment

DECIDES = {"update", "steps", "start", "base", "champion", "rows", "sources", "policy", "retention"}
"""What of an assignment decides its trainings, beside what is the same for all updates of a model."""

log = logging.getLogger("tsuika.child")


def trainings_of(assignment: Assignment, store: Artifacts, saved: Callable[[str], None]) -> Trainings:
    """The trainings of an update, which go on from what an earlier attempt has saved of the same ones.

    saved: told the digest of each save, once it is in the store. A training never fails for want of a save.
    """
    same = cache(partial(_same, assignment))

    def keep(reached: Saved) -> None:
        try:
            saved(store.put(assignment.places.area, packed(reached, same())))
        except (DiskFull, NotWritable) as reason:
            log.warning("update %s: its training is not saved: %s", assignment.update, reason.detail)

    earlier = _earlier(assignment, store, same()) if assignment.trainings is not None else {}
    return Trainings(assignment.save_seconds, keep, earlier)


def _earlier(assignment: Assignment, store: Artifacts, same: str) -> Saved:
    """What an earlier attempt has saved; {} where it is damaged, or of another base, device or release."""
    try:
        reached, of = unpacked(store.get(assignment.places.area, str(assignment.trainings)))
    except CorruptArtifact as damaged:
        log.warning("update %s begins anew: %s", assignment.update, damaged.detail)
        return {}
    if of != same:
        log.info("update %s begins anew: what was saved is of another base, device or release", assignment.update)
        return {}
    log.info("update %s goes on from a save", assignment.update)
    return reached


def _same(assignment: Assignment) -> str:
    """A digest of what must be the same, so that a training can go on with the same bits."""
    device, threads = described(device_named(assignment.device)), torch.get_num_threads()
    facts = assignment.model_dump_json(include=DECIDES)
    text = f"{__version__} {torch.__version__} {device} {threads} {facts}"
    return hashlib.sha256(text.encode()).hexdigest()


def packed(reached: Saved, of: str) -> bytes:
    """What was reached in each training, and of features, as bytes. of: what must be the same where it goes on"""
    tensors = {f"{number}.{name}": t.numpy() for number, one in reached.items() for name, t in one.tensors.items()}
    return pack(tensors, {"of": of, "trainings": {str(number): one.facts for number, one in reached.items()}})


def unpacked(data: bytes) -> tuple[Saved, str]:
    """Inverse of `packed`. Raises CorruptArtifact."""
    arrays, meta = unpack(data)
    try:
        tensors: dict[str, dict[str, torch.Tensor]] = {number: {} for number in meta["trainings"]}
        for key, array in arrays.items():
            number, _, name = key.partition(".")
            tensors[number][name] = torch.from_numpy(array)
        facts: dict[str, dict[str, Any]] = meta["trainings"]
        reached = {number: Reached(facts[number], own) for number, own in tensors.items()}
        return {int(key) if key.isdigit() else key: one for key, one in reached.items()}, str(meta["of"])
    except (KeyError, ValueError, AttributeError) as error:
        raise CorruptArtifact(f"The stored bytes are no trainings: {error!r}.") from error
