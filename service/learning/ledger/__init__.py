"""Exact sums of features, batch by batch, in any order: `sums` has the integers, `feature_space` what is summed,
`entry` what a batch adds, `ledger` all of them, `batch_weights` sums in which batches count less."""
