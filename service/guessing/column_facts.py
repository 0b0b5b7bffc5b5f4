"""What the columns of a file are: looked through cell by cell, and what a model of such a file takes and predicts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from service.contract.names import MOST_CLASSES, MOST_NAMED
from service.guessing.csv_files.dates import DATE
from service.guessing.csv_files.dialect import PLAIN, Dialect
from service.guessing.full_width import half_width

MANY_VALUES = 100
"""A category of more values, most of which are in one row alone, is one of many values."""
GAP_WORDS = frozenset({"na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?"})
"""What programs write where nothing is known, in small letters: no number, date, true or false."""
REFUSED_WORDS = frozenset({"NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "-"})
"""What no value of an open category, no label and no group is called in a CSV file: a program wrote it for nothing."""
TEXT_CHARACTERS = 20
"""Cells of a text have so many characters on average."""
MOST_VALUES = 2000
"""All categories of a model together have so many values, but for those of many values."""
COUNTED_VALUES = MOST_CLASSES
"""Different values of a column that are counted."""
WIDEST_TABLE = 222
"""Number columns that a table has room for with all of their pieces."""
FEWEST_NUMBERS, DIFFERENT = 20, 0.9
"""From so many whole numbers on, of which such a share differ, they are no names of classes."""
SPARSE = 3
"""Numbers of classes lie closer than this on average."""
SOME_DIFFER, APART = 1 / 3, 10
"""Nor are those of which this share differ, so far apart on average: prices, where numbers of classes lie close."""
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""A number; one that begins with 0, such as 0123, is a postcode or the like."""
OTHER_NUMBER = re.compile(r"[+-]?[€$£¥]? ?(?:\d{1,3}(?:[,.' ]\d{3})+|\d+)(?:[.,]\d+)? ?[%€$£¥]?", re.ASCII)
"""A number with a decimal comma, thousands, a currency or per cent, as no model reads it."""
_CLOCK = r"(?: \d{1,2}:\d\d(?::\d\d)?(?: ?[AaPp]\.?[Mm]\.?)?)?"
OTHER_DATE = re.compile(
    rf"(?:\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}|\d{{4}}[-./]\d{{1,2}}[-./]\d{{1,2}}){_CLOCK}", re.ASCII
)
"""A date, as no model reads it."""
FEWEST_CELLS, FEW_CELLS = 10, 0.1
"""Where at most this share of so many cells or more are no numbers, they may say that nothing is known."""
AMOUNTS = 10
"""So many different numbers are amounts, where a word stands beside them in many cells: of fewer, such as 1 to 5 rooms
and "studio", it may be the name of a value."""
FEW = 3
"""Phrases that may say so in a column, and words of each."""
SLIPS, SLIPPED = 10, 0.01
"""Where at most so many values, in this share of the cells or FEW of them, are none of what all others are, they are
slips."""
SUMS = frozenset(
    {"sum", "total", "grand total", "totals", "summe", "gesamt", "gesamtsumme", "total général", "totale", "somme"}
    | {"suma", "razem", "合計", "総計", "計"}
)
"""What spreadsheets write beside a sum, in small letters."""
WORD = re.compile(r"[^\s、。！？]+")
RISING, ROOM = 50, 4
"""From so many whole numbers on, each above the one before, of which so many times as many lie between the first and
the last, they number rows, some of which are gone: of amounts some would come again."""
DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
"""A day as one number, such as 20260131; days rise as well."""
DOZENS = 24
"""From so many different names on, where they are a third of the cells, little is learned of each."""
SEVERAL_WORDS, MOSTLY = 3, 0.5
"""Cells of so many words on average, such a share of which differ, are sentences and no names of categories. Where
more than that share are numbers or dates, a category is doubtful."""


@dataclass
class ColumnFacts:
    """What the cells of a column are: each flag holds for all that are not empty. values: how many cells say each.
    words: what stands where nothing is known, and how often; these cells are gaps, too. value_words: words of all
    values together. no_numbers, no_dates: how many cells say what is none however it is written, up to one value more
    than SLIPS. wide: a number or date in full-width digits. dialect: how numbers and dates are written."""

    dialect: Dialect = PLAIN
    numbers: bool = True
    booleans: bool = True
    dates: bool = True
    clock: bool = False
    fractions: bool = False
    cells: int = 0
    gaps: int = 0
    characters: int = 0
    values: dict[str, int] = field(default_factory=dict)
    no_numbers: dict[str, int] = field(default_factory=dict)
    no_dates: dict[str, int] = field(default_factory=dict)
    value_words: int = 0
    words: dict[str, int] = field(default_factory=dict)
    wide: str = ""

    def add(self, cell: Any) -> None:
        """Looks at one more cell."""
        text = "" if cell is None else str(cell)
        if text in self.values:
            self._count_again(text)
        elif cell is None:
            self.gaps += 1
        elif text.lower() in GAP_WORDS:
            self.gaps += 1
            self.words[text] = self.words.get(text, 0) + 1
        else:
            self._look_at(cell, text)

    def _count_again(self, text: str) -> None:
        """Counts a cell that says what another one did."""
        self.values[text] += 1
        self.cells += 1
        self.characters += len(text)
        for others in (self.no_numbers, self.no_dates):
            if text in others:
                others[text] += 1

    def _look_at(self, cell: Any, text: str) -> None:
        """Looks at a cell that says what none did before, among the values that are counted."""
        self.cells += 1
        self.characters += len(text)
        if len(self.values) < COUNTED_VALUES:
            self.values[text] = 1
            self.value_words += len(WORD.findall(text))
        number = self.is_number(text) or (isinstance(cell, int | float) and not isinstance(cell, bool))
        written = half_width(text)
        if not self.wide and written != text:
            self.wide = text
        if not number and OTHER_NUMBER.fullmatch(written) is None and len(self.no_numbers) <= SLIPS:
            self.no_numbers[text] = self.no_numbers.get(text, 0) + 1
        if self.numbers:
            self.numbers = number
            self.fractions = self.fractions or (self.numbers and not self._value(text).is_integer())
        if self.booleans:
            self.booleans = text.lower() in ("true", "false")
        if self.dates or len(self.no_dates) <= SLIPS:
            date = DATE.fullmatch(self.dialect.date(text))
            self.dates = self.dates and date is not None
            if date is None and OTHER_DATE.fullmatch(written) is None:
                self.no_dates[text] = self.no_dates.get(text, 0) + 1
            self.clock = self.clock or (date is not None and date[1] is not None)

    @property
    def measures(self) -> bool:
        """Whether the cells are a target: numbers with fractions, or whole ones that are no names of classes."""
        if not self.numbers:
            return False
        return self.fractions or are_measures([self._value(value) for value in self.values], self.cells)

    @property
    def may_measure(self) -> bool:
        """Whether the cells are a target, or names of classes, which nobody can tell."""
        return self.numbers and not self.measures and may_be_measures([self._value(value) for value in self.values])

    def is_number(self, text: str) -> bool:
        """Whether a cell is a number."""
        return NUMBER.fullmatch(self.dialect.number(text)) is not None

    def _is_date(self, text: str) -> bool:
        return DATE.fullmatch(self.dialect.date(text)) is not None

    def _value(self, text: str) -> float:
        return float(self.dialect.number(text))

    @property
    def strange(self) -> str | None:
        """A cell that is no number where the others are a target, or where nearly none comes again and some have
        digits: of prices, one with a slip."""
        numbers = [self._value(value) for value in self.values if self.is_number(value)]
        amounts = are_measures(numbers, self.cells) or may_be_measures(numbers)
        if len(numbers) < DIFFERENT * len(self.values) or not amounts:
            often = len(self.values) < max(FEWEST_NUMBERS, DIFFERENT * min(self.cells, COUNTED_VALUES))
            if often or not any(letter.isdigit() for value in self.values for letter in value):
                return None
        return min((value for value in self.values if not self.is_number(value)), default=None)

    @property
    def phrases(self) -> list[str]:
        """What cells say in few words where all others are numbers, perhaps that nothing is known: few of the cells, or
        less than half beside so many different numbers that they are amounts."""
        words = self.words_beside
        amounts = len(self.values) - len(words) >= AMOUNTS
        return words if amounts or self._rows_of(words) <= FEW_CELLS * self.cells else []

    @property
    def words_beside(self) -> list[str]:
        """What less than half of the cells say in few words where all others are numbers."""
        others = [value for value in self.values if not self.is_number(value)]
        if not 0 < len(others) <= FEW or self.cells < FEWEST_CELLS:
            return []
        plain = all(len(value.split()) <= FEW and not any(map(str.isdigit, value)) for value in others)
        return others if plain and self._rows_of(others) < MOSTLY * self.cells else []

    def _rows_of(self, values: Sequence[str]) -> int:
        """How many cells say one of these."""
        return sum(self.values[value] for value in values)

    @property
    def slips(self) -> tuple[str, list[str]]:
        """What a few cells say where all others are numbers or dates, and which of them, a key of DOUBTS. Postcodes
        such as 0123 are neither."""
        if self.cells < FEWEST_CELLS or self.phrases:
            return "", []
        most = min(FEW_CELLS * self.cells, max(FEW, SLIPPED * self.cells))
        for why, others in (("slip", self.no_numbers), ("date_slip", self.no_dates)):
            if not 0 < len(others) <= SLIPS or sum(others.values()) > most:
                continue
            if any(value.isdigit() and not self.is_number(value) for value in self.values):  # postcodes
                return "", []
            sums = self.sums
            return why, [cell for cell in others if cell not in sums]
        return "", []

    @property
    def sums(self) -> list[str]:
        """What one cell says as spreadsheets do beside a sum."""
        return [value for value, rows in self.values.items() if rows == 1 and value.casefold().rstrip(": ") in SUMS]

    @property
    def refused(self) -> list[str]:
        """The words that the service refuses in such a column, unless it is told that they are gaps."""
        typed = self.cells and (self.numbers or self.dates or self.booleans)
        return [word for word in self.words if typed or word in REFUSED_WORDS]

    def says(self, word: str) -> bool:
        """Whether a cell says this word."""
        return word in self.values or word in self.words

    @property
    def doubt(self) -> tuple[str, str] | None:
        """What may not be as it is guessed, a key of DOUBTS, and a cell that shows it."""
        if not self.cells:
            return None
        if not self.dates and not self.no_dates:
            return "date", min(self.values, key=lambda value: (self._is_date(value), value))
        marked = [value for value in self.values if not value.isdigit()]
        if not self.numbers and not self.no_numbers and marked:
            return "number", min(marked, key=lambda value: (self.is_number(value), value))
        if (mixed := self._mixed) is not None:
            return mixed
        if self.is_text:
            return "text", ""
        if self._counts_rows:
            return "numbering", ""
        return ("names", f"{len(self.values):,}") if self._names_rows else None

    @property
    def _mixed(self) -> tuple[str, str] | None:
        """That most cells are numbers, or dates, and the others none and without digits, and one of these."""
        if self.cells < FEWEST_CELLS:
            return None
        most_rows = MOSTLY * sum(self.values.values())
        for why, is_such, few in (("mixed", self.is_number, FEW), ("mixed_dates", self._is_date, 0)):
            others = [value for value in self.values if not is_such(value)]
            if len(others) > few and self._rows_of(others) < most_rows and not any(map(str.isdigit, others)):
                return why, min(others)
        return None

    @property
    def may_be_classes(self) -> bool:
        """Whether cells are a few names that come again, as those of classes do."""
        named = not (self.numbers or self.dates) and self.cells >= FEWEST_NUMBERS
        return named and 1 < len(self.values) < FEWEST_NUMBERS

    @property
    def may_name(self) -> bool:
        """Whether the cells are whole numbers that may be names, if the column is called so."""
        return self.numbers and not self.fractions and self.cells >= FEWEST_NUMBERS and len(self.values) > 2

    @property
    def is_text(self) -> bool:
        """Whether cells are sentences, most of which do not come again."""
        if self.numbers or self.dates or self.cells < FEWEST_NUMBERS:
            return False
        often = len(self.values) <= MOSTLY * min(self.cells, COUNTED_VALUES)
        return not often and self.value_words >= SEVERAL_WORDS * len(self.values)

    @property
    def is_long(self) -> bool:
        """Whether cells are sentences or as long as such, whatever their number."""
        if not self.cells or self.numbers or self.dates or self.booleans:
            return False
        return self.is_text or self.characters / self.cells >= TEXT_CHARACTERS

    @property
    def _counts_rows(self) -> bool:
        """Whether it may be a number or name of the row, of which nothing is learned: whole numbers one after the
        other, with a few left out where they rise, or names, of which none comes again."""
        if self.gaps or self.cells < FEWEST_NUMBERS or len(self.values) < min(self.cells, COUNTED_VALUES):
            return False
        if not self.numbers:
            return not self.dates
        numbers = [self._value(value) for value in self.values]
        width, steps = max(numbers) - min(numbers), len(numbers) - 1
        rise = steps >= RISING - 1 and width <= ROOM * steps and all(a < b for a, b in pairwise(numbers))
        return not self.fractions and (width == steps or (rise and not all(map(DAY.fullmatch, self.values))))

    @property
    def _names_rows(self) -> bool:
        """Whether nearly all cells differ, or dozens do that would each be a value of a category."""
        different, cells = len(self.values), min(self.cells, COUNTED_VALUES)
        if self.numbers or self.dates or self.cells < FEWEST_NUMBERS:
            return False
        return different >= DIFFERENT * cells or (DOZENS <= different <= MANY_VALUES and different >= cells / 3)

    def column(self, name: str) -> dict[str, Any]:
        """The column as a model of tables declares it."""
        if self.cells and self.booleans:
            return {"name": name, "kind": "boolean"}
        if self.cells and self.numbers:
            return {"name": name, "kind": "number"}
        if self.cells and self.dates:
            return {"name": name, "kind": "date"} | ({} if self.clock else {"parts": ["weekday", "year"]})
        many = len(self.values) > min(max(MANY_VALUES, self.cells / 2), MOST_VALUES)
        return {"name": name, "kind": "category"} | ({"many": True} if many else {})


def are_measures(numbers: Collection[float], cells: int) -> bool:
    """Whether whole numbers, each once, of so many cells are a target and no names of classes: nearly all differ, or
    many do and lie far apart."""
    different = len(numbers)
    if different < FEWEST_NUMBERS:
        return False
    many = different >= SOME_DIFFER * cells and max(numbers) - min(numbers) >= APART * different
    return many or different >= DIFFERENT * min(cells, COUNTED_VALUES)


def may_be_measures(numbers: Collection[float]) -> bool:
    """Whether whole numbers, each once, that are no target for sure may be one: many, which do not count classes from 0
    or 1 on. Ages and counts are such, and so are numbers of shops."""
    if len(numbers) < FEWEST_NUMBERS:
        return False
    return min(numbers) not in (0, 1) or max(numbers) - min(numbers) >= SPARSE * len(numbers)


def input_of(facts: Mapping[str, ColumnFacts], named: bool = True) -> dict[str, Any]:
    """The input of a model of these columns: texts where there is one, of sentences or long cells; a vector where all
    are numbers without gaps that are numbered (p0, p1, ...), or too many for a table; else a table. named: columns are
    called so in the rows themselves."""
    if len(facts) == 1:
        [fact] = facts.values()
        if fact.is_long:
            return {"kind": "text"}
    numbers = all(fact.numbers and not fact.gaps for fact in facts.values())
    stems = {name.rstrip("0123456789") for name in facts}
    if numbers and (len(facts) > WIDEST_TABLE or (len(stems) == 1 and len(facts) > 1)):
        return vector_of([*facts] if named else [], len(facts))
    return {"kind": "table", "columns": [fact.column(name) for name, fact in facts.items()]}


def vector_of(names: Sequence[str], size: int) -> dict[str, Any]:
    """The input of a model of vectors, with the names of its columns where they have some, and are not too many."""
    named = {"names": [*names]} if names and size <= MOST_NAMED else {}
    return {"kind": "vector", "size": size, **named}
