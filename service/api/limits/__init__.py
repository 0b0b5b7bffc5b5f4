"""What a client may ask for at most, and how many at once."""
