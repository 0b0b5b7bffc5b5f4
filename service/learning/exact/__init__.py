"""The closed-form head: sums to weights."""
