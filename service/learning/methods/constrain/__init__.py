"""Constrain: weights are pulled to where they were."""
