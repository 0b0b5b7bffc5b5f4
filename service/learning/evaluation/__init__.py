"""What a new version gained and forgot."""
