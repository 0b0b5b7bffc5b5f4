"""Servers that are measured, peers each in an environment of its own, and what drives them."""
