"""Numbers and dates in full-width characters, as keyboards of Japan write them: －３．６, ２０２６／１２／３１."""

from __future__ import annotations

_TABLE = str.maketrans("０１２３４５６７８９．，＋－−／：ｅＥ％￥", "0123456789.,+--/:eE%¥")
"""Not all of NFKC, in which 10² is 102."""


def half_width(text: str) -> str:
    """The text with digits and signs of ASCII in the place of full-width ones, and of the minus sign (U+2212)."""
    return text if text.isascii() else text.translate(_TABLE)
