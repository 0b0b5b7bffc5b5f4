"""Every learner by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.learners.joint import Boosting
from benchmarks.learners.learner import Learner
from benchmarks.learners.network import Network
from benchmarks.learners.published import PUBLISHED, PublishedHead
from benchmarks.learners.river import RIVER, River
from benchmarks.learners.rules import RULES, Rule, rules_of
from benchmarks.learners.service import Service
from benchmarks.running.workbench import SECRET
from benchmarks.streams.stream import Stream
from benchmarks.tables.records import BOOSTING, JOINT, MLP, NEVER, PLAIN, PROMOTED
from service.learning.methods import AUTO, METHODS

SELDOM = 8
"""Batches between two trainings of the joint network, where streams are answered before they are learned."""
GROUPS = ("rules", "joint", "river", "never", "promoted")
OURS = (AUTO, *METHODS)
LEARNING = ("joint", "river", *OURS, *PUBLISHED)
"""What learns rows that are asked later."""
NAMES = (*GROUPS, *OURS, *PUBLISHED)


def methods(text: str, among: Sequence[str]) -> list[str]:
    """With commas; parameters behind colons. Raises ValueError"""
    names = [n for n in re.split(r",(?![^\[]*\])", text) if n]
    if unknown := {n.partition(":")[0] for n in names} - {*among}:
        raise ValueError(f"no method {', '.join(sorted(unknown))}; there are {', '.join(among)}")
    return names


def learners_of(stream: Stream, words: Sequence[str]) -> list[str]:
    """The learners that groups stand for on a stream, each once."""
    target = stream.numbers
    other = target is not None and (target.from_ is not None or target.scale == "log")
    joint = [BOOSTING, *([PLAIN] if other else []), MLP] if stream.kind == "time" else [JOINT]
    groups = dict(zip(GROUPS, (rules_of(stream), joint, RIVER, [NEVER], [PROMOTED]), strict=True))
    return [*dict.fromkeys(name for word in words for name in groups.get(word, [word]))]


def learner_of(stream: Stream, name: str, every: int = 1, promote: bool = False, secret: bytes = SECRET) -> Learner:
    """every: batches between two trainings of joint learners; promote: whatever the gate says."""
    if name in RULES:
        return Rule(stream, name)
    if name in RIVER:
        return River(stream, name)
    if name in PUBLISHED:
        return PublishedHead(stream, name)
    if name == JOINT:
        return Network(stream)
    if name == MLP:
        return Network(stream, max(every, SELDOM))
    if name in (BOOSTING, PLAIN, NEVER):
        return Boosting(stream, every, name == PLAIN, max(len(stream.parts) // 10, 1) if name == NEVER else None)
    return Service(stream, AUTO if name == PROMOTED else name, promote or name == PROMOTED, secret)
