"""The routes, one file a resource with what belongs to it."""
