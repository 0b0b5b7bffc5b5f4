"""Constrain: old weights (l2_sp, ewc, si, mas, interpolate) or old answers (lwf) hold what is trained on new rows.

Regularisation in the sense of Parisi et al.: Continual lifelong learning with neural networks, a review, 2019.
"""
