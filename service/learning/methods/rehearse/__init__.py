"""Rehearse: stored rows of old classes are trained on again, with their labels (replay), the scores that they had
(der_pp), or as exemplars of their class (icarl). After Robins: Catastrophic forgetting, rehearsal and pseudorehearsal,
1995.
"""
