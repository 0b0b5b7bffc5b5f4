"""The side of the worker that has the database."""
