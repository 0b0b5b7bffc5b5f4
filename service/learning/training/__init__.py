"""Gradient training: the learner, its rows, the loop, the optimiser and the losses."""
