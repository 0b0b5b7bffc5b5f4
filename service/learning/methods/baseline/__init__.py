"""Baselines: plain fine-tuning and training anew."""
