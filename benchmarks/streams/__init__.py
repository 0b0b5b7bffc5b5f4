"""Streams of labelled rows, and who learns them."""
