"""Readers of what clients send: JSON, numbers, images, texts and names, checked."""
