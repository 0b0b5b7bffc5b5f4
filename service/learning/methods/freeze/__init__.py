"""Freeze: the feature extractor stands still, and only a head on its features learns: in closed form from exact sums
(ridge, lda) or by gradient (linear_probe). After streaming LDA (Hayes, Kanan, 2020) and RanPAC (McDonnell
et al., 2023).
"""
