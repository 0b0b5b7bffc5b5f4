"""The judge where targets are numbers: what is measured, and the rules."""
