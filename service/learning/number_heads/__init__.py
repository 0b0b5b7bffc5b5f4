"""Exact heads of targets that are numbers: sums to weights."""
