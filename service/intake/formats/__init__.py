"""Forms in which bodies come: files, parts and tensors."""
