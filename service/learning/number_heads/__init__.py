"""Exact heads of targets that are numbers, from the same sums to weights; `learn` is the way in.

equations has the algebra, strength and stream_choice choose how it is solved (by rows kept back, or by the last batches
before they were learned), number_out_of_fold answers rows without having learned them.
"""
