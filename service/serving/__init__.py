"""Loaded versions and the table that says which of them answers."""
