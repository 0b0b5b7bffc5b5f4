"""The side of the worker that trains; it has no database."""
