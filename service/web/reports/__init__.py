"""What a report says, in words and numbers: how good a version is, what became of it, and why."""
