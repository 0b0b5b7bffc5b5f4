"""Upkeep: what is done now and then, by hand or by a timer."""
