"""Rehearse: stored rows are trained on again."""
