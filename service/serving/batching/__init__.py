"""Predictions that wait together are computed together."""
