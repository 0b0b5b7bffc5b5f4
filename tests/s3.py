"""A store that speaks the protocol of S3 for tests: moto's server, in a process of its own; a fresh bucket a test."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.running import free_port

START_SECONDS = 60.0


class S3Server:
    """The process, and the variables by which clients find it."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.variables = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
        }
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", self.url.rpartition(":")[2]]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._numbers = itertools.count()
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.bucket()
                return
            except URLError:
                assert time.monotonic() < until, "moto's server does not answer"
                time.sleep(0.1)

    def bucket(self) -> str:
        """The URL of a place in a new bucket."""
        name = f"bucket-{next(self._numbers)}"
        with urlopen(Request(f"{self.url}/{name}", method="PUT"), timeout=START_SECONDS):
            return f"s3://{name}/a/place"

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def started() -> Iterator[S3Server]:
    """A server, with its variables in the environment of this process and of what it starts."""
    server = S3Server()
    before = {name: os.environ.get(name) for name in server.variables}
    os.environ.update(server.variables)
    try:
        yield server
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        server.close()
