"""A real `tsuika serve` on a free loopback port with a folder of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import httpx

from service.errors import TsuikaError

READY_SECONDS = 300.0
STOP_SECONDS = 15.0


@contextmanager
def running_service(folder: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Starts the service, waits until it is ready, and stops it at the end. -> its address

    settings: variables TSUIKA_... of its environment, beside its folder. Those that are set around it do not count.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith("TSUIKA_")}
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / "service.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve", "--port", str(port)],
            env={**others, "TSUIKA_DATA": str(folder / "data"), **settings},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,  # Ctrl-C is ours to answer: the service is stopped when the acts have ended
        )
    try:
        _until_ready(process, url, log)
        yield url
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    with httpx.Client(timeout=2.0) as client:
        while process.poll() is None and time.monotonic() < until:
            with suppress(httpx.TransportError):  # the port is not open yet
                if client.get(f"{url}/readyz").is_success:
                    return
            time.sleep(0.1)
    output = log.read_text(errors="replace").strip()[-2000:] or "it said nothing"
    what = f"is not ready after {READY_SECONDS:.0f} s" if process.poll() is None else "did not start"
    raise TsuikaError(f"The service {what}:\n{output}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
