"""Gradient training: `learner` is an update's training from start to checkpoint, `training_rows` its rows, `fit` the
loop, `aims` what it trains for, by the kind of target; the others are parts of these."""
