"""A form with a file, read as it comes from the browser (multipart/form-data, RFC 7578): its fields, then its file.

The file is the body of a request to the API, piece by piece: no more of it is held here than one.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Message, Receive

from service.errors import BodyTimeout, InvalidContent, TooLarge
from service.guessing.csv_files.dialect import Dialect, SaidDialect, dialect_in
from service.guessing.csv_files.facts import by_cells, lines_of
from service.guessing.csv_files.letters import UTF16, UTF16_MARKS, WITHOUT_MARK
from service.guessing.unguessable import Unguessable
from service.web.forms import FORM_BYTES, MOST_FIELDS, SECONDS

HEAD_BYTES = 1024 * 1024
"""Of a file that is looked at."""
KEPT_BYTES = 4 * 1024 * 1024
"""Of a file that is sent and looked at, too."""
_BOUNDARY = re.compile(r'boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?\s*(?:;|$)', re.I)
_DISPOSITION = re.compile(
    rb'content-disposition: *form-data; *name="([^"\r\n]*)"(; *filename="([^"\r\n]*)")?', re.I
)  # browsers write quotes in names as %22
END = b"\r\n"


@dataclass(frozen=True)
class Head:
    """The beginning of a file. `whole`: it is all of it."""

    name: str
    data: bytes
    whole: bool

    def lines(self, said: SaidDialect) -> tuple[list[list[str]], Dialect]:
        """Its whole lines as cells, where it is a CSV file, and how it is written. Raises Unguessable."""
        lines, dialect = self.cells(said)
        return lines, by_cells(lines, dialect, said)

    def cells(self, said: SaidDialect) -> tuple[list[list[str]], Dialect]:
        """The same where nothing looks at how its numbers and dates are written."""
        pieces = [self.data if self.whole else self.data[: self._last_break(said)]]
        dialect = dialect_in(pieces, said)
        lines = list[list[str]]()
        try:
            lines.extend(lines_of(pieces, dialect))
        except Unguessable as fault:
            if self.whole or fault.why != "open_quote":  # a cell of the last line may go on behind it
                raise
        return lines, dialect

    def _last_break(self, said: SaidDialect) -> int:
        """Where the last line break ends, of a file of UTF-16 with both of its bytes."""
        little, big = UTF16_MARKS
        if self.data.startswith(big):
            return self.data.rfind(b"\0\n") + 2
        if self.data.startswith(little) or said.encoding in (UTF16, WITHOUT_MARK):
            return self.data.rfind(b"\n\0") + 2
        return max(self.data.rfind(b"\n"), self.data.rfind(b"\r")) + 1


class Upload:
    """`fields`: those that stand before the file; `name`: of the file, "" where none was chosen."""

    def __init__(self, receive: Receive, content_type: str) -> None:
        """Raises InvalidContent where the type names no boundary."""
        match = _BOUNDARY.search(content_type)
        if match is None:
            raise _broken()
        self.fields: dict[str, str] = {}
        self.name = ""
        self._receive, self._more = receive, True
        self._line = END + b"--" + match[1].encode()
        self._data = END  # the first boundary begins a line, too
        self._ended = self._gone = False
        self._kept, self._is_all = bytearray(), False

    async def read_fields(self) -> None:
        """Reads up to the first byte of the file. Raises TooLarge, BodyTimeout, InvalidContent."""
        try:
            async with asyncio.timeout(SECONDS):
                await self._until(self._line)
                while not await self._part():
                    pass
        except TimeoutError:
            raise BodyTimeout(f"The form was not whole after {SECONDS:g} s. Send it again.") from None

    async def _part(self) -> bool:
        """Reads the next field. -> whether the file begins, or nothing follows"""
        if (await self._until(END)).startswith(b"--"):
            self._ended = True
            return True
        head = _DISPOSITION.search(await self._until(END + END))
        if head is None or len(self.fields) > MOST_FIELDS:
            raise _broken()
        if head[2] is not None:
            self.name = head[3].decode("utf-8", "replace")
            return True
        self.fields[head[1].decode("utf-8", "replace")] = (await self._until(self._line)).decode("utf-8", "replace")
        return False

    async def _until(self, mark: bytes) -> bytes:
        """-> what stands before the next mark; the mark is passed by"""
        while (at := self._data.find(mark)) < 0:
            if len(self._data) > FORM_BYTES:
                raise TooLarge(f"The fields beside a file have at most {FORM_BYTES:,} bytes.")
            await self._read()
            if self._gone or (not self._more and mark not in self._data):
                raise InvalidContent("The form was cut off. Send it again.")
        before, self._data = self._data[:at], self._data[at + len(mark) :]
        return before

    async def _read(self) -> None:
        message = await self._receive()
        self._gone = message["type"] == "http.disconnect"
        self._more = message.get("more_body", False)
        self._data += message.get("body", b"")

    async def head(self) -> Head:
        """The beginning of the file; its rest is read and thrown away, since a browser looks for an answer once it has
        sent all. Raises InvalidContent where it is cut off."""
        data, more = b"", True
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while more:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise InvalidContent("The file was cut off. Send it again.")
                    if len(data) <= HEAD_BYTES:
                        data += message["body"]
                    more = message["more_body"]
        return Head(self.name, data[:HEAD_BYTES], not more and len(data) <= HEAD_BYTES)

    async def kept(self) -> Message:
        """As `receive`; what has come is kept, see `beginning`."""
        message = await self.receive()
        if message["type"] == "http.request" and len(self._kept) <= KEPT_BYTES:
            self._kept += message["body"]
            self._is_all = not message["more_body"]
        return message

    def beginning(self) -> Head:
        """What was kept of a file that was sent."""
        return Head(self.name, bytes(self._kept), self._is_all)

    async def receive(self) -> Message:
        """The next piece of the file, as an ASGI application receives the body of a request; a file that is cut off is
        one whose sender hung up."""
        if self._ended:
            while not self._gone:  # whoever asks on waits to hear that the browser hangs up
                await self._read()
                self._data = b""
            return {"type": "http.disconnect"}
        while True:
            at = self._data.find(self._line)
            if at >= 0:
                self._ended = True
                return {"type": "http.request", "body": self._data[:at], "more_body": False}
            whole = len(self._data) - len(self._line)  # what follows may be the beginning of the boundary
            if whole > 0:
                piece, self._data = self._data[:whole], self._data[whole:]
                return {"type": "http.request", "body": piece, "more_body": True}
            if self._gone or not self._more:
                return {"type": "http.disconnect"}
            await self._read()


def _broken() -> InvalidContent:
    return InvalidContent("This is not a form of a page. Load the page again.")
