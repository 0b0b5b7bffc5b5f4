"""Named bytes, content-addressed."""
