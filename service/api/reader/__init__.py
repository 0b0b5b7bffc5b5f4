"""The reading process, which decodes large bodies."""
