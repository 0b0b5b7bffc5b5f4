"""Expand: neurons and layers are added."""
