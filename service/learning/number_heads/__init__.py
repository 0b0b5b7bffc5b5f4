"""The exact head where targets are numbers: from sums to weights."""
