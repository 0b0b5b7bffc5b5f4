"""The door: HTTP in, calls down, answers and problems out."""
