"""What a version is made of: checkpoint, layers, growth."""
