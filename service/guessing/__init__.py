"""What model a file is for, guessed from its cells: one rule for the terminal, the Python client and the pages.
How a CSV file is written is read here for the service, too.

Nothing is imported but the standard library and `contract/names`, and nothing is sent. A guess is said, and somebody
confirms it.

    column_facts    the cells of a column; the input of a model of such columns
    doubts          what of that may be otherwise, and how it is said
    label_column    which column is predicted, and which are no inputs by their names
    csv_files/      how a CSV file is written, its records with their lines, and the facts of its columns
    file_kinds      what a file is by its first bytes, where it is none
    unguessable     why some say nothing
"""
