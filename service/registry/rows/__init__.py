"""What becomes of rows: how they arrive, their sums, what is kept of them, how they are learned again."""
