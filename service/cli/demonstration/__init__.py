"""The demonstration: three acts against a real service, told over HTTP alone."""
