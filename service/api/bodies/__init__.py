"""What a body brings: rows, labels, predictions asked for."""
