"""What people do with a model: make it, teach it, ask it, take back. One file a verb, over HTTP."""
