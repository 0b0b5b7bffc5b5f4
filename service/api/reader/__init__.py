"""The reading process: large bodies are read aside."""
