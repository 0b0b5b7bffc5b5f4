"""The registry: facts and their moves, in SQL."""
