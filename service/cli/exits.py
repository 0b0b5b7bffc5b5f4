"""Exit codes of the commands."""

DONE = 0
ERROR = 1
USAGE = 2
"""The command line or the settings are wrong; nothing was done."""
INTERRUPTED = 130
