"""What people send, as checked numbers and names."""
