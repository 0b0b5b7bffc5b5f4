"""The bodies of requests: rows, labels, predictions, uploaded versions."""
