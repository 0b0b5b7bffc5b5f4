"""What model a file is for, guessed from its cells: one rule for the terminal, the Python client and the pages.

Nothing is imported but the standard library, and nothing is sent. A guess is said, and somebody confirms it.

    column_facts    the cells of a column; the input of a model of such columns
    label_column    which column is predicted
    csv_facts       a CSV file, line by line: the facts of its columns
    csv_dialect     how a CSV file is written: what parts its cells, the sign of decimals, its letters
    csv_letters     how letters are stored: encodings that are guessed, and those that somebody may say
    csv_dates       dates as spreadsheets write them
    file_kinds      what a file is by its first bytes, where it is none
    unguessable     why some say nothing
"""
