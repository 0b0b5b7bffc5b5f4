"""Rows, their hashes, and how they are stored."""
