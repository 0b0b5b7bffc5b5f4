"""The worker: a parent that claims, beats and publishes, and a warm child that learns."""
