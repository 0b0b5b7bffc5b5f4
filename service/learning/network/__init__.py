"""The network of a version: its checkpoint, layers and growth."""
