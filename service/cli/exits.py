"""Exit codes of the commands, and the refusal of what was asked for."""

from service.errors import TsuikaError

DONE = 0
ERROR = 1
USAGE = 2
"""The command line, the settings or a file are wrong; nothing was done."""
REJECTED = 3
"""The version was rejected: it is kept and not live."""
HELD = 4
"""The version is kept and waits for somebody."""
INTERRUPTED = 130


class WrongUsage(TsuikaError, slug="wrong-usage", title="This cannot be used"):
    """The command line, or a file that it names, is wrong: nothing was sent."""
