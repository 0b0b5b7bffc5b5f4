"""What a batch of numbers looks like beside those before it."""
