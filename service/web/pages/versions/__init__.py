"""Pages of the versions of a model: one, two side by side, where they come from, what goes live and back."""
