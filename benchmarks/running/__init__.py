"""A model in process or behind a real server, and what it takes."""
