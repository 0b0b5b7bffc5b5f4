"""The demonstration: five acts against a real service, over HTTP alone."""
