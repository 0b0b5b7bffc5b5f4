"""Gradient training: learner, loop, optimiser, losses, rows."""
