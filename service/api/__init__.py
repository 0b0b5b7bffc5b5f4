"""The API: HTTP in, calls down, answers and problems out."""
