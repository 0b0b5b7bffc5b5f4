"""Who learns a stream: the service by its own updates, and everybody who stands beside it, under one contract."""
