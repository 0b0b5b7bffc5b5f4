"""The header of a CSV file: which cell of a row is which column, and which ones hold target and group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.contract.tables import TableInput, value_text
from service.contract.targets import NumberTarget, Target
from service.errors import InvalidContent
from service.intake.formats.csv_lines import refused_at
from service.intake.json_body import LABELS, ROWS, TARGETS
from service.intake.near import near_matches

USUAL = ("target", "label")
"""What the column of the target or label is called where nobody says it."""
NAMED = 10
"""Columns that a refusal names."""
EXCEL = (
    "Excel writes semicolons where the system's decimal sign is a comma; pandas: "
    'read_csv(f, sep=";", decimal=",").to_csv(g, index=False).'
)
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Meant:
    """What the columns of a file are beside inputs. `target`: what the model predicts, None where rows bring none;
    `targets`: the columns that hold it, where somebody said so; `group`: the column that names what a row belongs
    to."""

    target: Target | None = None
    targets: tuple[str, ...] = ()
    group: str | None = None

    @property
    def columns(self) -> int:
        """How many these are."""
        size = self.target.size if isinstance(self.target, NumberTarget) else int(self.target is not None)
        return size + (self.group is not None)

    @property
    def word(self) -> str:
        """The member of a JSON body that holds what is predicted."""
        return TARGETS if self.target is not None and self.target.kind == "number" else LABELS


class Header:
    """Which cell of a row is which column."""

    def __init__(self, line: int, header: Sequence[str], spec: TableInput, meant: Meant, model: str) -> None:
        self.names = [value_text(name) for name in header]
        self._line, self._learned = line, meant.target is not None
        self._check_names(spec)
        self._check_any(spec, model)
        self.targets = self._targets(spec, meant)
        self.group = self._group(spec, meant)
        others = {*self.targets, *([] if self.group is None else [self.group])}
        self._check_columns({name for name in self.names if name not in others}, spec, model)
        known = others.union(spec.places)
        self.left_out = tuple(name for name in self.names if name not in known)

    def _check_names(self, spec: TableInput) -> None:
        if self.names[0].lower().startswith("sep=") and len(self.names) <= 2:
            raise self._refusal(" is a note of Excel: remove it.")
        if len(self.names) == 1 and len(spec.columns) > 1:
            for mark, word in OTHER_SEPARATORS.items():
                if mark in self.names[0]:
                    remedy = EXCEL if mark == ";" else "Save the file with commas."
                    raise self._refusal(f" has {word} where commas part cells. {remedy}")
        for k, name in enumerate(self.names):
            if not name:
                sentence = f": cell {k + 1} names no column. Name it or leave the column out (of pandas: index=False)."
                raise self._refusal(sentence)
        twice = [name for name, times in Counter(self.names).items() if times > 1]
        if twice:
            stand = "stands" if len(twice) == 1 else "stand"
            raise self._refusal(f": {listed(twice)} {stand} there twice. Each column has a name of its own.")

    def _check_any(self, spec: TableInput, model: str) -> None:
        """Raises InvalidContent where no name is a column's, nor nearly one: mostly it is a row, and there is no
        header."""
        if spec.places.keys().isdisjoint(self.names) and not any(
            near_matches(self.names[:NAMED], spec.places).values()
        ):
            sentence = f" names no column of {model}: {listed(spec.places)}. The first line of a file is its header."
            raise self._refusal(sentence)

    def _targets(self, spec: TableInput, meant: Meant) -> tuple[str, ...]:
        """The columns that hold the target."""
        if meant.target is None:
            return ()
        size = meant.target.size if isinstance(meant.target, NumberTarget) else 1
        if meant.targets:
            if len(meant.targets) != size or len(set(meant.targets)) != size:
                due = "one column" if size == 1 else f"{size} columns, each once: ?target=A&target=B"
                raise InvalidContent.at("/target", f"target names {due}.")
            for name in meant.targets:
                self._check_other(name, "target", spec)
            return meant.targets
        called = tuple(meant.target.names or ()) if isinstance(meant.target, NumberTarget) else ()
        candidates = [called] if called else []
        candidates += [(name,) for name in USUAL] if size == 1 else []
        there = [names for names in candidates if all(n in self.names and n not in spec.places for n in names)]
        if len(there) != 1:
            why = f"No column is called {' or '.join(map(listed, candidates))}"
            if there:
                why = f"It may be {' or '.join(map(listed, there))}"
            raise InvalidContent.at("/target", f"Which column is predicted? {why}: say it in the query, ?target=NAME.")
        return there[0]

    def _group(self, spec: TableInput, meant: Meant) -> str | None:
        if meant.group is not None:
            self._check_other(meant.group, "group", spec)
            if meant.group in self.targets:
                raise InvalidContent.at("/group", f"{quoted(meant.group)} is the target already.")
        return meant.group

    def _check_other(self, name: str, member: str, spec: TableInput) -> None:
        """Raises InvalidContent where a name of the query is no column beside the inputs."""
        if name in spec.places:
            raise InvalidContent.at(f"/{member}", f"{quoted(name)} is an input of the model. Name another column.")
        if name not in self.names:
            near = near_matches([name], self.names)[name]
            also = f" Near: {listed(near)}." if near else f" It has {listed(self.names)}."
            raise InvalidContent.at(f"/{member}", f"The header has no column {quoted(name)}.{also}")

    def _check_columns(self, names: set[str], spec: TableInput, model: str) -> None:
        """Raises InvalidContent unless these are the columns of the model. Rows to be predicted may have more, such as
        the target: where none is missing, none is taken for another."""
        missing = [name for name in spec.places if name not in names]
        unknown = [name for name in self.names if name in names and name not in spec.places]
        sentences = []
        if unknown and (missing or self._learned):
            near = near_matches(unknown[:NAMED], spec.places)
            meant = [name for names in near.values() for name in names[:1]]
            sentences.append(
                f"{model} has no column {listed(unknown)}: "
                + (f"is {listed(list(dict.fromkeys(meant)))} meant?" if meant else "leave it out.")
            )
        if missing:
            sentences.append(
                f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} missing; where nothing is known of a "
                "column, its cells are empty."
            )
        if sentences:
            raise self._refusal(f", the header: {' '.join(sentences)}")

    def _refusal(self, sentence: str) -> InvalidContent:
        return refused_at(self._line, sentence, f"/{ROWS}")


def listed(names: Iterable[str]) -> str:
    """Names in quotes, the first ones of many."""
    names = list(names)
    shown = ", ".join(quoted(name) for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED:,} more" if len(names) > NAMED else shown


def quoted(name: str) -> str:
    """A name in quotes, cut after 100 characters."""
    return f'"{name[:100]}"'
