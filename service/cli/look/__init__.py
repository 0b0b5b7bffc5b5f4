"""What shows how things stand: one file a command."""
