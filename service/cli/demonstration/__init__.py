"""The demonstration: three acts against a real service, over HTTP alone."""
