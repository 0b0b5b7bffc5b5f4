"""Who calls, what a key may do, and which models exist for it."""
