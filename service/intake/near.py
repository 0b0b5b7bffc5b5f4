"""Near matches of unknown names among the known ones: a refusal of a typo names what was meant.

Names are compared without regard to case: to `PARIS` nothing is nearer than `Paris`. difflib compares two names of 200
letters in milliseconds, so it looks at all pairs where these are few and short; else at those alone that share the most
letters and pairs of letters, and at so many of these as its steps allow.

In a name of one or two characters, as many are in Japanese, Chinese and Korean, one slip leaves nothing or half for
difflib to find. There another name of as many is near that differs in one: of two ideographs in either; of one alone by
one under the same radical, of kana by the marks alone, of syllables of Hangul behind the same consonant.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray

LISTED = 3
"""Near names that are listed for each unknown one."""
STEPS = 1_000_000
"""Pairs of letters that difflib may look at for one answer: about a tenth of a second."""
LETTERS, PAIRS = 64, 256
"""Bins for letters, and for pairs of letters, of a name."""
AT_ONCE = 1000
"""Names whose letters are counted at once."""
CUTOFF, CUTOFF_OF_THREE = 0.7, 0.6
"""Ratios of difflib from which names are near, the second one for names of three letters, where one slip costs a third.
Of 400 draws of 12 words of our docs and another one, that was near to one of them in 2.5 % (13 % at difflib's own 0.6);
of slips by one letter 97 % are found, by two 81 %."""
SHORT = 2
"""Characters of a name in which difflib finds no slip."""
RADICALS = sorted(ord(unicodedata.normalize("NFKC", chr(code))) for code in range(0x2F00, 0x2FD6))
"""Codes of the 214 radicals. Unicode has most ideographs of U+4E00-9FFF behind their radical (Unicode 15, 18.1)."""


def near_matches(unknown: Sequence[str], known: Iterable[str]) -> dict[str, list[str]]:
    """Each unknown name -> the known names near to it, nearest first, as difflib finds them within STEPS; case counts
    for nothing."""
    spelt: dict[str, list[str]] = {}
    for name in known:
        spelt.setdefault(name.casefold(), []).append(name)
    folded = {name: name.casefold() for name in unknown}
    near = _near(list(dict.fromkeys(folded.values())), list(spelt))
    near = {name: [*of, *(other for other in _like_short(name, spelt) if other not in of)] for name, of in near.items()}
    return {name: [other for like in near[of] for other in spelt[like]][:LISTED] for name, of in folded.items()}


def _near(unknown: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    letters = sum(map(len, names))
    if sum(map(len, unknown)) * letters <= STEPS:
        return {name: get_close_matches(name, names, LISTED, _cutoff(name)) for name in unknown}
    likely = _likeliest(unknown, names)
    return {name: _compared(name, likely[name], STEPS // len(unknown)) for name in unknown}


def _like_short(name: str, names: Iterable[str]) -> list[str]:
    """The names of as few characters that differ from a short one in one that is easily taken for the other."""
    if len(name) > SHORT:
        return []
    return [other for other in names if len(other) == len(name) and _one_slip(name, other)]


def _one_slip(name: str, other: str) -> bool:
    unlike = [(one, two) for one, two in zip(name, other, strict=True) if one != two]
    if len(unlike) != 1:
        return False
    one, two = unlike[0]
    if _is_ideograph(one) and _is_ideograph(two):
        return len(name) > 1 or bisect_right(RADICALS, ord(one)) == bisect_right(RADICALS, ord(two))
    return unicodedata.normalize("NFD", one)[0] == unicodedata.normalize("NFD", two)[0]


def _is_ideograph(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def _cutoff(name: str) -> float:
    return CUTOFF if len(name) > 3 else CUTOFF_OF_THREE


def _compared(name: str, likely: Iterable[str], steps: int) -> list[str]:
    """The nearest of the likeliest names, as far as the steps reach."""
    matcher, ratios = SequenceMatcher(), list[tuple[float, str]]()
    matcher.set_seq2(name)
    for other in likely:
        steps -= len(name) * len(other)
        if steps < 0 and ratios:
            break
        matcher.set_seq1(other)
        if (ratio := matcher.ratio()) >= _cutoff(name):
            ratios.append((ratio, other))
        if steps < 0:
            break
    return [other for _, other in nlargest(LISTED, ratios)]


def _likeliest(unknown: Sequence[str], known: Sequence[str]) -> dict[str, list[str]]:
    """Each unknown name -> the known names that share the most letters and pairs of letters with it, nearest first."""
    wanted = _counts(unknown)
    most = max(1, min(len(known), STEPS // len(unknown) // 16))
    parts = (known[k : k + AT_ONCE] for k in range(0, len(known), AT_ONCE))
    shares = np.concatenate([_shares(wanted, _counts(part)) for part in parts], axis=1)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :most]
    return {name: [known[k] for k in row] for name, row in zip(unknown, order.tolist(), strict=True)}


def _shares(unknown: NDArray[np.int16], known: NDArray[np.int16]) -> NDArray[np.float64]:
    """[n, letters and pairs], [m, letters and pairs] -> the share that two names have in common, [n, m]"""
    both: NDArray[np.float64] = np.stack([np.minimum(row, known).sum(1, dtype=np.float64) for row in unknown])
    of_both: NDArray[np.float64] = np.maximum(unknown.sum(1)[:, None] + known.sum(1), 1.0)
    return 2.0 * both / of_both


def _counts(names: Sequence[str]) -> NDArray[np.int16]:
    """How often each name has the letters and the pairs of letters of each bin. -> [n, letters and pairs]"""
    codes = np.frombuffer("".join(names).encode("utf-32-le", "replace"), "<u4").astype(np.int64)
    of = np.repeat(np.arange(len(names)), [len(name) for name in names])
    width = LETTERS + PAIRS
    counts = np.bincount(of * width + codes % LETTERS, minlength=len(names) * width)
    inside = of[1:] == of[:-1]
    pairs = ((codes[:-1] * 31 + codes[1:]) % PAIRS)[inside]
    counts += np.bincount(of[1:][inside] * width + LETTERS + pairs, minlength=len(names) * width)
    return counts.reshape(len(names), width).astype(np.int16)
