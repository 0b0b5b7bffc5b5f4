"""Limits of requests, and of how many there may be at once."""
