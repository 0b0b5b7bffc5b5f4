"""Stores bytes: content-addressed artifacts, and a cache of what can be rebuilt."""
