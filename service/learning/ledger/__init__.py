"""Exact sums of features, batch by batch."""
