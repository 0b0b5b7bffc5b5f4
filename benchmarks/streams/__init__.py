"""Streams of labelled rows, and the learners beside the service."""
