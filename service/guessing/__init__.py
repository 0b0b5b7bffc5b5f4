"""What model a file is for, guessed from its cells: one rule for the terminal, the Python client and the pages.
How a CSV file is written is read here for the service, too.

Nothing is imported but the standard library and `contract/names`, and nothing is sent. A guess is said, and somebody
confirms it.

    column_facts    the cells of a column; the input of a model of such columns
    label_column    which column is predicted, and which are no inputs by their names
    csv_dialect     how a CSV file is written: what parts its cells, the sign of decimals, its letters
    csv_records     a CSV file, record by record, each with its line
    csv_facts       the facts of the columns of a CSV file
    csv_letters     how letters are stored: encodings that are guessed, and those that somebody may say
    csv_dates       dates as spreadsheets write them
    file_kinds      what a file is by its first bytes, where it is none
    unguessable     why some say nothing
"""
