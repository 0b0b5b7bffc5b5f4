"""Why a file does not say what it holds, in sentences that say what to do."""

from __future__ import annotations

from typing import Any

from service.remedies import DATES, DECIMALS, DELIMITERS, ENCODING, NO_DELIMITER, TARGET

LONGEST = 100
"""Characters of a cell or a name that a sentence shows."""
AS_CSV = "Save it as CSV in UTF-8, which spreadsheets offer by that name."
OR_SAY = f"Save it as CSV in UTF-8, or {ENCODING(name='windows-1250')}."
UNCLOSED = "Is there a quote that is never closed?"
SENTENCES = {
    "json": "This file is JSON, and a CSV file is due. In a terminal tsuika push takes it where its name ends in "
    ".json; in Python send its rows as a list, which json.load reads.",
    "json_lines": "This file is JSON lines, an object a line, and a CSV file is due. In a terminal tsuika push takes "
    "it where its name ends in .jsonl; elsewhere send its rows as one list.",
    "workbook": f"This file is a workbook of a spreadsheet, and a CSV file is due. {AS_CSV}",
    "archive": "This file is a zip archive, and a CSV file is due. Unpack it first. tsuika push takes one of pictures "
    "in folders, called .zip.",
    "npz": "This file is npz, arrays of numpy, and a CSV file is due. In a terminal tsuika push takes it where its "
    "name ends in .npz; in Python send its arrays.",
    "parquet": "This file is Parquet, and a CSV file is due. In a terminal tsuika push takes it where its name "
    "ends in .parquet; in Python send the frame that pandas.read_parquet makes of it.",
    "packed": "This file is packed by {name}, and a CSV file is due. Unpack it first.",
    "picture": "This file is a picture, {name}, and a CSV file is due. tsuika push takes a folder of pictures, each in "
    "the folder of its class.",
    "pdf": "This file is a PDF, and a CSV file is due. Save the table that it was printed from as CSV.",
    "sqlite": "This file is an SQLite database, and a CSV file is due. Write a table of it as one: "
    'sqlite3 -header -csv FILE "select * from TABLE".',
    "arrays": "This file holds {name}, and a CSV file is due. Send the rows from Python as they are read there.",
    "page": "This file is a web page, and a CSV file is due. Look into it: it mostly says that you are to sign in.",
    "excel_note": "Line 1 is a note of Excel: remove it.",
    "nul": f"Line {{line:,}} has a NUL character: this is no text. {AS_CSV}",
    "encoding": f"This CSV file is not {{encoding}}: a byte of line {{line:,}} begins no character. {OR_SAY}",
    "order": 'Dates can be read in two ways: {cell} in "{column}" is {day} if the day stands first, and {month} if the '
    f"month does. {DATES(one='day-first', other='month-first')}.",
    "not_wide": "This CSV file is not {encoding}: no byte of its first line is 0. Leave "
    "encoding out, or say another one.",
    "open_quote": "Line {line:,}: a quote is opened here, or in a line that belongs to it, and never closed. Close it, "
    "or remove it.",
    "after_quote": "Line {line:,}: behind the quote that ends a cell a {mark} is due, or the end of the line. Within a "
    'quoted cell a quote is written twice: "".',
    "long_cell": f"Line {{line:,}}: a cell has more than {{most:,}} characters. {UNCLOSED}",
    "long_row": f"Line {{line:,}}: a row has at most {{most:,}} characters. {UNCLOSED}",
    "header_again": "Line {line:,} names the columns once more, as where two files were joined. Take this line out.",
    "one_line": "The first line has more than {most:,} characters.",
    "no_row": "This CSV file has no row: its first line names the columns, and a row stands in each other.",
    "separator": "This CSV file has one column, {column}. Save it with commas, semicolons or tabs between cells.",
    "two_ways": "The first line can be read in two ways. Parted by {one}s it names {one_names}; parted by {other}s "
    f"it names {{other_names}}. {DELIMITERS(one='{one_mark}', other='{other_mark}')}.",
    "sign": 'Numbers can be read in two ways: {cell} in "{column}" is {whole} if a {sign} parts thousands, and {part} '
    f"if decimals begin with it. Say what they begin with: {DECIMALS(one=',', other='.')}.",
    "two_signs": 'Decimals have two signs: a comma in "{comma_column}" ({comma_cell}), a point in "{point_column}" '
    f"({{point_cell}}). Say which is meant: {DECIMALS(one=',', other='.')}; the other column then holds names.",
    "no_delimiter": "No {one} stands between the names in the first line, and {other}s do: "
    f"{NO_DELIMITER(mark='{one_mark}')}.",
    "headless": "The first line of this CSV file names no columns: it begins the rows, with {column}. Write a line "
    "with the names of the columns above it. If these are such names, say which of them is predicted: "
    f"{TARGET(column='NAME')}.",
    "nameless": "Column {place:,} of this CSV file has no name. Write one above it in the first line, or save the file "
    "without this column (pandas: to_csv(file, index=False)).",
    "empty_end": "Columns from {place:,} on have no name. If all of their cells are empty, delete these columns in the "
    "spreadsheet and save the file again; else name them.",
    "title": 'The first line names one column, "{column}", and cells stand beside it. If it is a title, remove what '
    "stands above the names of the columns; if the other cells are all empty, delete these columns and save the file "
    "again.",
    "one_column": 'This CSV file has one column, "{column}": one that is looked at and one that is predicted are due. '
    "If it is a title, remove what stands above the names of the columns.",
    "twice": 'Columns {first:,} and {second:,} of {form} are both called "{column}". Each has a name of its own: '
    "blanks at its ends do not count, nor how its letters are composed.",
    "two_answers": 'It may be "{column}" that is predicted, by its name, or "{last}", the numbers in the last column. '
    f"Say which: {TARGET(column='{column}')} or {TARGET(column='{last}')}.",
    "numbers_or_names": '"{column}" has {values:,} different whole numbers: predict them as numbers, or are they names '
    "of classes? Say which.",
    "slip": 'Values of "{column}" look like numbers, and "{cell}" is none. Write numbers as 12500 or {number}, '
    "without a unit or anything between thousands.",
}
"""Sentences by what is wrong."""
MENDED_BY = {
    "two_ways": "delimiter",
    "no_delimiter": "delimiter",
    "sign": "decimal",
    "two_signs": "decimal",
    "order": "dates",
    "encoding": "encoding",
    "not_wide": "encoding",
}
"""What is wrong -> what somebody may say of how a file is written that mends it, where something does."""


class Unguessable(ValueError):
    """A file that does not say what it holds. `why`: a key of SENTENCES; `values`: what the sentence names."""

    def __init__(self, why: str, **values: Any) -> None:
        self.why, self.values = why, {n: v[:LONGEST] if isinstance(v, str) else v for n, v in values.items()}
        super().__init__(SENTENCES[why].format(**self.values))
