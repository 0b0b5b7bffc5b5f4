"""How the letters of a CSV file are stored: in UTF-8, or as what its bytes look like.

charset-normalizer, chardet, cchardet and chardetng were tried on 273 tables: each reads 52 or more of them as something
else where this reads them or refuses them, most often those with few words that are not of ASCII.

A byte order mark shows UTF-16. Bytes that are Shift_JIS throughout, in words of their own, are Japanese; lines that end
as on old Macs have the letters of old Macs; all else are letters of Western Europe, which have to look like such. A
guess is told with a word of the file, so that somebody sees where it is wrong and says what is right.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

UTF8, UTF16, WESTERN, MAC, JAPANESE = "utf-8", "utf-16", "cp1252", "mac_roman", "cp932"
"""Those that are guessed, as Python names them."""
UTF16_MARKS = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
WITHOUT_MARK = "utf-16-le"
"""UTF-16 that begins with none of its marks, as in browsers (WHATWG Encoding); Python refuses it."""
ENCODING_NAMES = {
    UTF8: "UTF-8",
    UTF16: "UTF-16",
    WITHOUT_MARK: "UTF-16LE",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    WESTERN: "Windows-1252",
    "cp1253": "Windows-1253",
    "cp1254": "Windows-1254",
    "iso8859_15": "ISO-8859-15",
    MAC: "Macintosh",
    JAPANESE: "Shift_JIS",
    "euc_jp": "EUC-JP",
    "iso2022_jp": "ISO-2022-JP",
    "gb18030": "GB18030",
    "cp950": "Big5",
    "cp949": "EUC-KR",
}
"""How letters may be stored, as Python names it -> as others do."""
ENCODINGS = {name.lower(): codec for codec, name in ENCODING_NAMES.items()} | {"cp932": JAPANESE, "iso-8859-1": WESTERN}
"""What somebody may say, in small letters -> as Python names it. What is called ISO-8859-1 is Windows-1252, as in
browsers (WHATWG Encoding)."""

_STRANGE = re.compile(
    "[À-ÃÅ-ÕØ-ÛÝÞà-ãå-õø-ûýþÿ]{3}|[A-Za-z][^\0-\x7fÀ-ÿŠŒŽŸšœž’–—·][A-Za-z]|[A-Za-z][À-ÖØ-ÞŠŒŽŸ][a-z]"
    "|[ŠŒŽšœžŸƒˆ‰‹›˜†‡•™]{2}|\ufffd"
    # signs in a row, but for ±£5, ££, 10¹² and three dots
    "|(?!±[^±]|£[£¼-¾]|¥¥|[µ¹²³][¹²³])[¢-¦¨¬¯±-¶¸¹¼-¾]{2}|(?!(.)\\1\\1|[¹²³]{3})[¡-¿]{3}"
    # signs beside letters with accents, where words have none
    "|[À-ÖØ-öø-ÿ](?:[¢-¦¨¬¯´¶¸]|[¡-¿][¡-¨ª¬-¸¼-¿À-ÖØ-öø-ÿ])|[¢-¥¹²³¼-¾][À-ÖØ-öø-ÿ]"
    # signs before letters of ASCII, as Big5 has them
    "|[¤¥§¨¬¯¸]_|[¤¨¯¸][A-Za-zÀ-ÿ]|¬[A-Z]"
    # words of such alone, but for ÄÖ, £½, ±£ and §§; letters of Iceland are those of Turkey
    '|(?<![^\\s,;"])(?!«[¡-ÿ]|(?:[ÄÖÜäöüß]+|[±£¥]*[£¥¼½¾]|([¡-¿])\\2+)(?![^\\s,;"]))(?:[¡-ÿ]{2,}+|[¥¦«®±¼·][A-Za-z])'
    '(?![^\\s,;"])|[ÐÞðþ]'
)
"""What letters of other countries look like, read as those of Western Europe."""
_WORDS = re.compile(r"([A-Za-z]?)([^\0-\x7f]+)([A-Za-z]?)|[A-Za-z]\Z")
"""Letters that are not of ASCII, with those beside them; or what may begin such in the next piece."""
MOST_WORDS = 100_000
"""Words that are looked at; a long file has millions."""
_HALF = re.compile("[\uff61-\uff9f]")
"""Half a letter wide, which letters of Western Europe are, too."""
_NOT_OF_JAPAN = re.compile("[\x80-\xa0\ue000-\uf8ff]")
"""What Python makes of bytes that are none of Shift_JIS, such as a euro sign of Windows, and letters of one's own."""
_NOT_ASCII = re.compile(r"[^\0-\x7f\s]")
_HEAD = 64 * 1024
"""Bytes that show how lines end."""
_AROUND = 20
"""Characters of a word that are shown on either side of such a letter."""
_SHOWN = re.compile(rf'[^\s,;"]{{0,{_AROUND}}}[^\0-\x7f\s][^\s,;"]{{0,{_AROUND}}}')


def letters_of(pieces: Iterable[bytes]) -> str:
    """How letters are stored. pieces: of a file, given anew each time. It is UTF-8, too, where bytes that are not stand
    behind some that are: such a file is broken."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _HEAD:
            break
    head = head[:_HEAD]
    if head.startswith(UTF16_MARKS):
        return UTF16
    if (broken := _is_broken(pieces)) is None:
        return UTF8
    if _is_japanese(pieces):
        return JAPANESE
    if broken:
        return UTF8
    return MAC if b"\r" in head and b"\n" not in head else WESTERN


def word_in(pieces: Iterable[bytes], encoding: str) -> str:
    """The first word with a letter that is not of ASCII, so read; "" where there is none."""
    before, texts = "", _decoded(pieces, encoding, "replace")
    for text in texts:
        text = before + text
        if letter := _NOT_ASCII.search(text):
            while len(text) <= letter.start() + 2 * _AROUND and (more := next(texts, None)) is not None:
                text += more
            match = _SHOWN.search(text, max(0, letter.start() - _AROUND))
            return match[0] if match is not None else ""
        before = text[-_AROUND:]
    return ""


def is_western(line: str) -> bool:
    """Whether letters that were read as Windows-1252 look like such."""
    return _STRANGE.search(line) is None


def is_utf8(head: bytes) -> bool:
    """Whether the beginning of a file is UTF-8, which may be cut within a letter."""
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _is_broken(pieces: Iterable[bytes]) -> bool | None:
    """Whether letters of UTF-8 stand in front of bytes that are not, or the last one is cut; None where all are
    UTF-8."""
    decoder = codecs.getincrementaldecoder(UTF8)()
    there = False
    try:
        for piece in chain(pieces, [b""]):
            there = not decoder.decode(piece, final=not piece).isascii() or there
    except UnicodeDecodeError as fault:
        is_cut = fault.end == len(fault.object) > fault.start + 1 and "end of data" in fault.reason
        return there or is_cut or not fault.object[: fault.start].isascii()
    return None


def _is_japanese(pieces: Iterable[bytes]) -> bool:
    """Whether all is Shift_JIS, and more words begin with its usual letters than do not: accents of other countries
    become single letters within words of ASCII, and seldom usual ones."""
    left, more, cut = MOST_WORDS, 0, ""
    try:
        for text in chain(_decoded(pieces, JAPANESE, "strict"), "\n"):
            if _NOT_OF_JAPAN.search(text):
                return False
            text, cut = cut + text, ""
            for match in islice(_WORDS.finditer(text), left):
                before, word, behind = match.groups()
                if match.end() == len(text) and not behind:  # it may go on, and its beginning is all that counts
                    cut = match[0][:3]
                    break
                left -= 1
                if _HALF.match(word) is None:
                    alone = len(word) > 1 or not (before or behind)
                    more += 1 if alone and word[0].encode(JAPANESE)[0] < 0xA0 else -1
    except UnicodeDecodeError:
        return False
    return more > 0


def _decoded(pieces: Iterable[bytes], encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)
