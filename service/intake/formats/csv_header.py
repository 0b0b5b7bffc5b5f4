"""The header of a CSV file: which cell of a row is which column, and which ones hold target and group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.contract.inputs import TextInput, VectorInput, places_of
from service.contract.names import seen, shortened
from service.contract.tables import DateColumn, NumberColumn, TableInput
from service.contract.targets import Target
from service.errors import InvalidContent
from service.guessing.csv_files.dialect import SAID_NOTHING, SaidDialect
from service.guessing.csv_files.facts import LABELLED, are_cells, check_names
from service.guessing.numbering import lacks_columns, what_is_missing, what_is_too_much
from service.guessing.unguessable import Unguessable
from service.intake.json_body import LABELS, ROWS, TARGETS
from service.intake.near import near_matches
from service.remedies import LEAVE_OUT, WHICH_TARGET

NAMED, CANDIDATES = 10, 100
"""Columns that a refusal names; those that may hold the target, which it lists as a member where they are no more."""

Spec = TableInput | VectorInput | TextInput
"""Inputs of which a row may be a line of a file."""


@dataclass(frozen=True)
class Meant:
    """What the columns of a file are beside inputs. `target`: what the model predicts, None where rows are asked about
    and bring none; `targets`: the columns that hold it, where somebody said so; `group`: the column that names what a
    row belongs to; `leave_out`: columns that are none of all these; `gaps`: what cells say where nothing is known;
    `said`: how the file is written, as far as somebody says so; `remembered`: columns that the model does not look at,
    of a file that has them."""

    target: Target | None = None
    targets: tuple[str, ...] = ()
    group: str | None = None
    leave_out: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    said: SaidDialect = SAID_NOTHING
    remembered: tuple[str, ...] = ()

    @property
    def columns(self) -> int:
        """How many these are."""
        return (
            (self.target.columns if self.target is not None else 0)
            + (self.group is not None)
            + len(self.leave_out + self.remembered)
        )

    @property
    def word(self) -> str:
        """The member of a JSON body that holds what is predicted."""
        return self.target.member if self.target is not None else LABELS


def width_of(spec: Spec) -> int:
    """How many columns hold the inputs of a row."""
    return 1 if isinstance(spec, TextInput) else spec.shape[0]


class Header:
    """Which cell of a row is which column. inputs: in the order of the model, or, where the model names none, in that
    of the file; left_out: what a file has beside them that the model passes over and nobody has named."""

    def __init__(self, line: int, header: Sequence[str], spec: Spec, meant: Meant, model: str) -> None:
        self._line, self._learned = line, meant.target is not None
        self._places, self._gaps = tuple(places_of(spec)), isinstance(spec, TableInput)
        if isinstance(spec, VectorInput) and not self._places:
            self._check_no_row(header)
        self.names = self._names_in(header, width_of(spec))
        if self._places:
            self._check_any(model)
        self.targets = self._targets(meant)
        self.group = self._group(meant)
        others = {*self.targets, *([] if self.group is None else [self.group])}
        self._check_left_out(meant.leave_out, others)
        others.update(meant.leave_out)
        free = [name for name in self.names if name not in others and name not in meant.remembered]
        if self._places:
            self._check_columns(free, model)
        self.inputs = self._places or self._inputs(free, spec, meant, model)
        known = others.union(self.inputs, meant.remembered)
        self.left_out = tuple(name for name in self.names if name not in known)

    def numbers(self, spec: Spec, meant: Meant) -> dict[str, int]:
        """The columns of numbers, by name -> their place in the file."""
        inputs = self.inputs if isinstance(spec, VectorInput) else ()
        if isinstance(spec, TableInput):
            inputs = tuple(column.name for column in spec.columns if isinstance(column, NumberColumn))
        targets = self.targets if meant.word == TARGETS else ()
        numbers = {*inputs, *targets}
        return {name: place for place, name in enumerate(self.names) if name in numbers}

    def dates(self, spec: Spec) -> dict[str, int]:
        """The columns of dates, by name -> their place in the file."""
        columns = spec.columns if isinstance(spec, TableInput) else ()
        return {column.name: self.names.index(column.name) for column in columns if isinstance(column, DateColumn)}

    def _names_in(self, header: Sequence[str], width: int) -> list[str]:
        try:
            return check_names(header, several=width + self._learned > 1)
        except Unguessable as fault:
            raise self._refusal(f": {fault}") from None

    def _check_any(self, model: str) -> None:
        """Raises InvalidContent where no name is a column's, nor nearly one: mostly it is a row, and there is no
        header."""
        if {*self._places}.isdisjoint(self.names) and not any(near_matches(self.names[:NAMED], self._places).values()):
            sentence = f" names no column of {model}: {listed(self._places)}. The first line of a file is its header."
            raise self._refusal(sentence)

    def _check_no_row(self, header: Sequence[str]) -> None:
        """Raises InvalidContent where names are numbers as a row has them: there is no header."""
        if are_cells([name.strip().replace(",", ".") for name in header]):
            raise self._refusal(
                " has numbers where columns are named. The first line of a file is its header: if they are names, put "
                "letters before them, as in p4."
            )

    def _inputs(self, free: Sequence[str], spec: Spec, meant: Meant, model: str) -> tuple[str, ...]:
        """The columns of a vector, or that of a text: all that are nothing else. Raises InvalidContent."""
        width = width_of(spec)
        aside = () if self._learned else (*meant.targets, *(LABELLED if len(free) > width else ()))
        inputs = tuple(name for name in free if name not in aside)
        if len(inputs) != width or (isinstance(spec, VectorInput) and lacks_columns(inputs, width)):
            takes = f"{width:,} numbers" if isinstance(spec, VectorInput) else "one text"
            here = f"there are {len(inputs):,} columns" if len(inputs) != 1 else "there is 1 column"
            beside = f" beside {listed(self.targets)}" if self.targets else ""
            too_many = len(inputs) > width
            way = f" {what_is_too_much(inputs, width)}" if too_many else ""
            if isinstance(spec, VectorInput) and not too_many:
                way = f" {what_is_missing(inputs, width)}"
            what = f"{model} takes {takes} a row, and {here}{beside}: {listed(inputs)}."
            raise self._refusal(f", the header: {what}{way}")
        return inputs

    def _targets(self, meant: Meant) -> tuple[str, ...]:
        """The columns that hold the target."""
        if meant.target is None:
            for name in meant.targets:
                self._check_other(name, "target")
            return ()
        size = meant.target.columns
        if meant.targets:
            if len(meant.targets) != size or len(set(meant.targets)) != size:
                due = "one column" if size == 1 else f"{size} columns, each once: ?target=A&target=B"
                raise InvalidContent.at("/target", f"target names {due}.")
            for name in meant.targets:
                self._check_other(name, "target")
            return meant.targets
        named = meant.target.named
        candidates = [named] if named else []
        if size == 1:
            candidates += [(name,) for name in LABELLED]
        taken = {*self._places, *meant.remembered}
        free = [name for name in self.names if name not in taken]
        there = [names for names in candidates if {*names} <= {*free}]
        if len(there) == 1:
            return there[0]
        if size > 1:
            why = f"No columns are called {listed(named)}" if named else "The model has no names for them"
            due = f"name the {size} columns that are predicted: ?target=A&target=B."
            raise InvalidContent.at("/target", f"Which columns are predicted? {why}; {due}")
        raise self._which_target(candidates, there, free)

    def _which_target(
        self, candidates: Sequence[Sequence[str]], there: Sequence[Sequence[str]], free: Sequence[str]
    ) -> InvalidContent:
        """The question which of the columns is predicted: of those that are called as targets several are there, or
        none is. free: columns that are no inputs"""
        if there:
            why = f"It may be {' or '.join(map(listed, there))}"
        else:
            why = f"No column is called {' or '.join(map(listed, candidates))}"
            if self._places and free:
                why += f", and {listed(free)} {'is no input' if len(free) == 1 else 'are no inputs'}"
        sentence = f"Which column is predicted? {why}: {WHICH_TARGET()}."
        return InvalidContent(sentence, [("/target", sentence)], columns=[*free] if len(free) <= CANDIDATES else [])

    def _group(self, meant: Meant) -> str | None:
        if meant.group is not None:
            self._check_other(meant.group, "group")
            if meant.group in self.targets:
                raise InvalidContent.at("/group", f"{quoted(meant.group)} is the target already.")
        return meant.group

    def _check_left_out(self, names: Sequence[str], others: set[str]) -> None:
        for name in names:
            self._check_other(name, "leave_out")
            if name in others:
                raise InvalidContent.at("/leave_out", f"{quoted(name)} is the target or the group already.")

    def _check_other(self, name: str, member: str) -> None:
        """Raises InvalidContent where a name of the query is no column beside the inputs."""
        if name in self._places:
            raise InvalidContent.at(f"/{member}", f"{quoted(name)} is an input of the model. Name another column.")
        if name not in self.names:
            near = near_matches([name], self.names)[name]
            also = f" Near: {listed(near)}." if near else f" It has {listed(self.names)}."
            raise InvalidContent.at(f"/{member}", f"The header has no column {quoted(name)}.{also}")

    def _check_columns(self, names: Sequence[str], model: str) -> None:
        """Raises InvalidContent unless these are the columns of the model. Rows to be predicted may have more, such as
        the target: where none is missing, none is taken for another."""
        there, due = {*names}, {*self._places}
        missing = [name for name in self._places if name not in there]
        unknown = [name for name in names if name not in due]
        sentences = []
        if unknown and (missing or self._learned):
            near = near_matches(unknown[:NAMED], self._places)
            meant = [name for names in near.values() for name in names[:1]]
            sentences.append(
                f"{model} has no column {listed(unknown)}: "
                + (
                    f"is {listed(list(dict.fromkeys(meant)))} meant?"
                    if meant
                    else f"leave it out{LEAVE_OUT(column=seen(unknown[0][:100]))}."
                )
            )
        if missing:
            way = f": add {'it' if len(missing) == 1 else 'them'}, with empty cells where values are not known."
            if not self._gaps:
                way = ". Add what is missing, or make a model of its own for such rows."
            sentences.append(f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} missing{way}")
        if sentences:
            raise self._refusal(f", the header: {' '.join(sentences)}")

    def _refusal(self, sentence: str) -> InvalidContent:
        return refused_at(self._line, sentence, f"/{ROWS}")


def refused_at(line: int, sentence: str, pointer: str) -> InvalidContent:
    """The refusal of a line; `sentence` goes on after its number."""
    return InvalidContent.at(pointer, f"Line {line:,}{sentence}")


def listed(names: Iterable[str]) -> str:
    """Names in quotes, the first ones of many."""
    return shortened([quoted(name) for name in names], NAMED)


def quoted(name: str) -> str:
    """A name in quotes, cut after 100 characters; what nobody sees, or reorders the sentence, as its escape."""
    return f'"{seen(name[:100])}"'
