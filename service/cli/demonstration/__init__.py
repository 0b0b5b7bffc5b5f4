"""The demonstration: four acts against a real service, over HTTP alone."""
