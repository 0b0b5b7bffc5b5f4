"""What a stream is: rows that arrive in batches, of one kind of input and of target, and rows that are kept aside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables.scores import Group, Places
from service.contract.inputs import InputSpec, PretrainedBackbone
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import Array

ASIDE, PARTS = 5, 5
"""A row in so many is kept aside, where a stream has no test rows of its own; parts of the time that are scored."""

Floats = NDArray[np.float64]
Kind = Literal["classes", "domains", "blurry", "time"]


@dataclass(frozen=True, eq=False)
class Rows:
    """inputs [n, ...] as the model takes them (texts: str objects; tables: float64, missing NaN, values as codes) ·
    targets [n]: classes, or numbers · domain [n], "" without one · trees [n, t]: of tables the same for trees."""

    inputs: Array
    targets: NDArray[Any]
    domain: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))
    trees: Floats | None = None

    def __post_init__(self) -> None:
        if len(self.domain) != len(self.targets):
            object.__setattr__(self, "domain", np.full(len(self.targets), ""))

    def __len__(self) -> int:
        return len(self.targets)

    def of(self, classes: Collection[str]) -> Rows:
        """The rows of these classes."""
        return self.take(np.flatnonzero(np.isin(self.targets, list(classes))))

    def take(self, which: Places) -> Rows:
        trees = None if self.trees is None else self.trees[which]
        return Rows(self.inputs[which], self.targets[which], self.domain[which], trees)

    def shaped(self, shape: tuple[int, ...]) -> Rows:
        """Each row in this shape."""
        return replace(self, inputs=self.inputs.reshape(-1, *shape))


def together(parts: Sequence[Rows]) -> Rows:
    """All their rows."""
    inputs, targets, domain = (np.concatenate([getattr(p, c) for p in parts]) for c in ("inputs", "targets", "domain"))
    trees = [p.trees for p in parts if p.trees is not None]
    return Rows(inputs, targets, domain, np.concatenate(trees) if trees else None)


@dataclass(frozen=True)
class Layers:
    """The network of joint retraining. lr: of SGD with momentum, the best of 0.01, 0.03 and 0.1 on rows kept back;
    None: Adam at 0.001."""

    hidden: tuple[int, ...] = (128, 128)
    lr: float | None = None
    epochs: int = 20


@dataclass(frozen=True, eq=False)
class Stream:
    """rows: all that arrive · parts: places in them of each batch, in order · test: rows kept aside, if any.

    kind: how rows are arranged, see `Plan`; *time*: as they came · policy: of the gate, where it is not the default ·
    sourced: rows are learned and asked with their domain as source · coded: places in `trees` that hold categories ·
    named: of tables, the name of each value by column and code · with_features: gives the stream whose inputs are the
    features of its backbone.
    """

    name: str
    input: InputSpec
    rows: Rows
    parts: Sequence[Places]
    test: Rows | None = None
    target: Target = field(default_factory=ClassTarget)
    kind: Kind = "time"
    layers: Layers = Layers()
    policy: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    backbone: PretrainedBackbone | None = None
    sourced: bool = False
    coded: tuple[int, ...] = ()
    named: dict[str, dict[float, str]] = field(default_factory=dict)
    with_features: Callable[[], Stream] | None = None

    @property
    def batches(self) -> list[Rows]:
        return [self.rows.take(part) for part in self.parts]

    @property
    def numbers(self) -> NumberTarget | None:
        """The target, where it is a number."""
        return self.target if isinstance(self.target, NumberTarget) else None

    @property
    def plain(self) -> Stream:
        """For peers and methods that train a network: features as inputs where there is a backbone."""
        return self.with_features() if self.with_features else self

    @property
    def by_domain(self) -> bool:
        """What is known are domains, or parts of the time; elsewhere classes."""
        return self.kind in ("domains", "time")

    def first(self, batches: int | None) -> Stream:
        """Its first so many batches."""
        return replace(self, parts=self.parts[:batches])

    def aside(self) -> Stream:
        """With test rows: a fifth of each batch, drawn by the seed, if it has none of its own."""
        if self.test is not None:
            return self
        random, kept, learned = np.random.default_rng(self.seed), list[Places](), list[Places]()
        domain = np.full(len(self.rows), "", object)
        for k, part in enumerate(self.parts):
            domain[part] = str(k * PARTS // len(self.parts))
            aside = np.isin(part, random.permutation(part)[: max(len(part) // ASIDE, 1)])
            kept.append(part[aside])
            learned.append(part[~aside])
        rows = replace(self.rows, domain=domain.astype(np.str_))
        return replace(self, rows=rows, parts=[p for p in learned if len(p)], test=rows.take(np.concatenate(kept)))

    def source(self, rows: Rows) -> str | None:
        """Where a batch comes from, if the stream says it."""
        return str(rows.domain[0]) if self.sourced else None

    def keys(self, rows: Rows) -> set[str]:
        """What the rows make known: their domains, or their classes."""
        return {str(key) for key in np.unique(rows.domain if self.by_domain else rows.targets)}

    def groups(self) -> list[Group]:
        """Test rows by what is learned together: the classes of a step, a domain; elsewhere each class."""
        assert self.test is not None
        if self.kind == "classes":
            sets = [self.keys(rows) for rows in self.batches]
        else:
            sets = [{key} for key in sorted(self.keys(self.test))]
        of = self.test.domain if self.by_domain else self.test.targets
        return [Group(frozenset(keys), np.flatnonzero(np.isin(of, list(keys)))) for keys in sets]


def parts_of(batch: NDArray[Any]) -> list[Places]:
    """The number of each row's batch -> the places of each batch, in the order of the numbers."""
    return [np.flatnonzero(batch == number) for number in np.unique(batch)]


def arrays(name: str, folder: Path | None) -> dict[str, NDArray[Any]]:
    """All of a file NAME.npz. Raises FileNotFoundError where it is missing."""
    if folder is None or not (folder / f"{name}.npz").is_file():
        where = f"there is no {name}.npz in {folder}" if folder else "no folder was named"
        raise FileNotFoundError(f"{name} needs --data FOLDER (or TSUIKA_BENCH_DATA) with {name}.npz in it: {where}.")
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return {column: file[column] for column in file.files}
