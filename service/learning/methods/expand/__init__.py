"""Expand: old weights stand still, and what is added beside them learns the new: units (den), low-rank branches (lora),
whole extractors (branch). Dynamic architectures in the sense of Parisi et al.: Continual lifelong learning with neural
networks, a review, 2019; the first were progressive networks (Rusu et al., 2016).
"""
