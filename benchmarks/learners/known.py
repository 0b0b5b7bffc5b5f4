"""Every learner by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.learners.avalanche import AVALANCHE, Avalanche
from benchmarks.learners.joint import Boosting
from benchmarks.learners.learner import Learner, given, why_absent
from benchmarks.learners.network import Network
from benchmarks.learners.ranpac import RANPAC, Ranpac
from benchmarks.learners.river import RIVER, River
from benchmarks.learners.rules import RULES, Rule, rules_of
from benchmarks.learners.scikit import SCIKIT, Scikit
from benchmarks.learners.service import Service
from benchmarks.running.workbench import SECRET
from benchmarks.streams.stream import Stream
from benchmarks.tables.records import BOOSTING, JOINT, MLP, NEVER, PLAIN, PROMOTED, RECENT
from service.learning.methods import AUTO, METHODS

RECENT_BATCHES = 20
"""Batches that boosting of the last ones learns: as many as a decay is chosen by."""
SELDOM = 8
"""Batches between two trainings of the joint network, where streams are answered before they are learned."""
PEERS = {"avalanche": AVALANCHE, "river": RIVER, "sklearn": SCIKIT}
"""The learners of each package."""
GROUPS = ("rules", "joint", "recent", "never", "promoted")
OURS = (AUTO, *METHODS)
LEARNING = ("joint", *OURS, RANPAC, *PEERS)
"""What learns rows that are asked later."""
NAMES = (*GROUPS, *OURS, "river")


def methods(text: str, among: Sequence[str]) -> list[str]:
    """With commas; parameters behind colons. Raises ValueError"""
    names = [n for n in re.split(r",(?![^\[]*\])", text) if n]
    of_peers = [name for peer in PEERS if peer in among for name in PEERS[peer]]
    if unknown := {given(n)[0] for n in names} - {*among, *of_peers}:
        raise ValueError(f"no method {', '.join(sorted(unknown))}; there are {', '.join(among)}")
    return names


def absent(words: Sequence[str]) -> dict[str, str]:
    """The packages of these learners that cannot be imported, and why."""
    asked = [peer for peer, names in PEERS.items() if any(word == peer or given(word)[0] in names for word in words)]
    return {peer: why for peer in asked if (why := why_absent(peer))}


def learners_of(stream: Stream, words: Sequence[str]) -> list[str]:
    """The learners that groups stand for on a stream, each once; without those of packages that are not there."""
    target = stream.numbers
    other = target is not None and (target.from_ is not None or target.scale == "log")
    joint = [BOOSTING, *([PLAIN] if other else []), MLP] if stream.kind == "time" else [JOINT]
    recent = [RECENT] if len(stream.parts) > RECENT_BATCHES else []
    groups = dict(zip(GROUPS, (rules_of(stream), joint, recent, [NEVER], [PROMOTED]), strict=True)) | PEERS
    names = dict.fromkeys(name for word in words for name in groups.get(word, [word]))
    gone = {name for peer in absent(words) for name in PEERS[peer]}
    return [name for name in names if given(name)[0] not in gone]


def learner_of(stream: Stream, name: str, every: int = 1, promote: bool = False, secret: bytes = SECRET) -> Learner:
    """every: batches between two trainings of joint learners; promote: whatever the gate says."""
    if name in RULES:
        return Rule(stream, name)
    if name in RIVER:
        return River(stream, name)
    if name in SCIKIT:
        return Scikit(stream, name)
    if given(name)[0] == RANPAC:
        return Ranpac(stream, name)
    if given(name)[0] in AVALANCHE:
        return Avalanche(stream, name)
    if name == JOINT:
        return Network(stream)
    if name == MLP:
        return Network(stream, max(every, SELDOM))
    if name in (BOOSTING, PLAIN, RECENT, NEVER):
        until, last = max(len(stream.parts) // 10, 1) if name == NEVER else None, RECENT_BATCHES * (name == RECENT)
        return Boosting(stream, every, name == PLAIN, until, last)
    return Service(stream, AUTO if name == PROMOTED else name, promote or name == PROMOTED, secret)
