"""Rows of each kind, and their labels and targets: from what a body says to arrays."""
