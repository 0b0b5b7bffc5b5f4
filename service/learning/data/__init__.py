"""Rows: on which side of the folds each falls (`sides`), their hashes, their bytes in the store, the memory that is
rehearsed, and what a model holds of them: the grid of targets, the learned values of categories."""
