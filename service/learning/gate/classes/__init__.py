"""The judge where targets are classes: what is measured, and the rules."""
