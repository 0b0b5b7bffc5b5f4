"""Measures what was gained and lost where targets are numbers."""
