"""Makes a network fast for serving: folds batch norms, packs matrices, compiles the forward pass."""
