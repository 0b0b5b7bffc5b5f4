"""Learning: tensors in, tensors out. No HTTP, no SQL, no settings."""
