"""Opens the port, and locks the data folder and the database for one serving process."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from service.errors import ImpossibleSettings
from service.settings import Settings
from service.storage.permissions import tighten
from service.tuning.priority import not_taken

BACKLOG = 2048
EVERY_ANSWER = [("x-content-type-options", "nosniff"), ("cache-control", "no-store")]
"""Headers of every answer, on each port; a page's file has a cache-control of its own."""
ACCEPTS_A_TURN = 16
"""Connections that a turn of the event loop accepts. libuv accepts one a turn and handle: where others keep the loop
busy, so that a turn takes 20 ms and 200 connections a second come in, a new one waited for seconds. Each handle costs a
connection half a microsecond."""
LOCK_NAME = "serve.lock"
_SO_ATTACH_FILTER = 26
_NO_SYN = [
    int.from_bytes(struct.pack("HBBI", *step), sys.byteorder)
    for step in ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
]
"""A classic packet filter: load byte 13 of the TCP header; if SYN is set drop the packet, else accept all of it."""


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """Opens the port: from here on clients wait instead of being refused."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ImpossibleSettings(f"{settings.host} is no address of this machine: {error.strerror}.") from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            raise _cannot_listen(settings, error) from None
        yield listener


def accepting(listener: socket.socket) -> list[socket.socket]:
    """Duplicates of the listener, which share its queue, one for each connection that a turn accepts."""
    return [listener.dup() for _ in range(ACCEPTS_A_TURN)]


def drop_new_connections(listener: socket.socket) -> None:
    """Drops the packets that ask for a connection, so that closing the port cannot reset one that has just come in.

    A client asks again within a second: the next process answers or refuses it. Without this 6 of 100 closes under load
    reset a connection, with it none. TSUIKA_TUNING_OFF=stop_filter switches it off. Linux only.
    """
    if sys.platform != "linux":
        not_taken("the filter of new connections", "Linux has it")
        return
    program = (ctypes.c_uint64 * len(_NO_SYN))(*_NO_SYN)
    attached = struct.pack("HxxxxxxP", len(program), ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
    except OSError as error:  # a sandbox without such filters
        not_taken("the filter of new connections", error)


def _cannot_listen(settings: Settings, error: OSError) -> ImpossibleSettings:
    port = settings.port
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8000
        return ImpossibleSettings(f"Port {port} is in use. Try: tsuika serve --port {other}")
    if error.errno == errno.EACCES:
        return ImpossibleSettings(f"Port {port} needs more rights than this user has. Try: tsuika serve --port 8000")
    return ImpossibleSettings(f"Cannot listen on {settings.host}, port {port}: {error.strerror}.")


@contextlib.contextmanager
def locked(settings: Settings, url: str) -> Iterator[None]:
    """Locks the data folder and the file of the database, by whatever path they are named, until the process ends.
    Raises ImpossibleSettings where another `serve` has them."""
    database = settings.database_file
    try:
        tighten(settings)
    except OSError as error:
        raise _unusable("data folder", settings.data, error, "TSUIKA_DATA") from None
    with contextlib.ExitStack() as locks:
        locks.enter_context(_lock(settings.data / LOCK_NAME, "data folder", settings.data, "TSUIKA_DATA", url))
        if database is not None:
            file = database.resolve()
            lock = file.with_name(f"{file.name}.lock")
            locks.enter_context(_lock(lock, "database", file, "TSUIKA_DATABASE_URL", url))
        yield


@contextlib.contextmanager
def _lock(path: Path, what: str, of: Path, setting: str, url: str) -> Iterator[None]:
    try:
        file = path.open("a+")
    except OSError as error:
        raise _unusable(what, of, error, setting) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ImpossibleSettings(
                f"Another tsuika serve uses the {what} {of} ({file.read().strip()}). Stop it, or name another one in "
                f"{setting}."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {url}\n")
        file.flush()
        yield


def _unusable(what: str, path: Path, error: OSError, setting: str) -> ImpossibleSettings:
    return ImpossibleSettings(f"The {what} {path} cannot be used: {error.strerror}. Name another one in {setting}.")


def address(settings: Settings, listener: socket.socket) -> str:
    """The URL of the service, with the real port if a free one was asked for."""
    host, port = listener.getsockname()[:2]
    name = settings.host if ":" not in host else f"[{host}]"
    return f"http://{name}:{port}"
