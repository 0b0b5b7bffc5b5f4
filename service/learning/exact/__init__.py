"""The closed-form head of classes, from sums to weights; `exact_head` is the way in.

frozen_features and lift_choice choose what it stands on, ridge_solver, discriminants and decay how it is solved, solve
has the equations, out_of_fold answers rows without having learned them, source_heads adds a head a source.
"""
