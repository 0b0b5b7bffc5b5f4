"""What was gained and forgotten where targets are classes."""
