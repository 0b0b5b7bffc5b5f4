"""Pages of the rows of a model: its batches, files that are sent, what is taken back, labels in dispute."""
