"""The kinds of parts that a version is made of. Whoever only looks after files asks it, too: it loads no tensors."""

from __future__ import annotations

SERVED = frozenset({"scale", "values", "backbone", "lift", "neck", "head", "interval"})
"""Kinds of parts that answer. The judge's heads and the state of methods do not."""
FROZEN = frozenset({"scale", "backbone", "lift"})
"""Kinds of parts that make the feature space of an exact head."""
DECIDED = frozenset({"scale", "lift"})
"""Kinds of parts that a batch may decide without being learned: no weight of them was fitted to labels."""
SOLVED = frozenset({"head", "judge"})
"""Kinds of parts of an exact head that are a function of the sums alone."""
REMADE = frozenset({"interval", "values"})
"""Kinds of parts that are made anew without what was taken back: of what the lineage remembers, of the batches left."""


def kind_of(part: str) -> str:
    """The kind of a part: "backbone" for "backbone.0"."""
    return part.partition(".")[0]
