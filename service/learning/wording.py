"""Words and numbers of the sentences that people read."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_CHANCE = 0.001
"""A smaller chance is as good as none to people."""
MANY = 8
"""More names than this are counted, not listed."""


def whole_percent(share: float) -> str:
    """0.92 -> "92 %"."""
    return f"{100 * share:,.0f} %"


def points(change: float) -> str:
    """-0.045 -> "−4.5 points"."""
    return f"{'−' if change < 0 else '+'}{abs(100 * change):.1f} points"


def chance(p: float) -> str:
    """0.034 -> "p = 0.034", 1e-40 -> "p < 0.001"."""
    return f"p = {p:.2g}" if p >= LEAST_CHANCE else f"p < {LEAST_CHANCE}"


def rows(n: int) -> str:
    """1088 -> "1,088 rows"."""
    return f"{n:,} {'row' if n == 1 else 'rows'}"


def too_few(n: int, of: str = "") -> str:
    """12, ' of "9"' -> '12 rows of "9" are too few to judge it.'."""
    return f"{rows(n)}{of} {'is' if n == 1 else 'are'} too few to judge it."


def counted(n: int, thing: str, things: str) -> str:
    """1, "batch", "batches" -> "1 batch"."""
    return f"{n:,} {thing if n == 1 else things}"


def trusted_rows(n: int) -> str:
    """1180 -> "1,180 trusted rows": those that judged, each near-duplicate once."""
    return counted(n, "trusted row", "trusted rows")


def a(name: str) -> str:
    """ "mlp" -> "an mlp", "cnn" -> "a cnn"."""
    return f"{'an' if name[:1] in 'aeiou' or name == 'mlp' else 'a'} {name}"


def listed(names: Sequence[str], quote: bool = False) -> str:
    """["8", "9"] -> "8 and 9"; many names are counted."""
    if len(names) > MANY:
        return f"{len(names)} classes"
    words = [f'"{n}"' for n in names] if quote else list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def stays(live: int | None) -> str:
    """Says which version answers after one that does not go live."""
    return "No version is live yet." if live is None else f"Version {live} stays live."


def lowered(sentence: str) -> str:
    """The sentence as it stands after a colon."""
    return sentence[:1].lower() + sentence[1:]


def raised(sentence: str) -> str:
    """The sentence as it stands alone."""
    return sentence[:1].upper() + sentence[1:]


def reason(error: Exception) -> str:
    """An error in a line, without the path of a file, which is the operator's own business."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or "the file cannot be read"
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
