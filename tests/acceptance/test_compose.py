"""What compose.yaml starts, started on this machine: its processes, variables, commands, checks of health and order.

PostgreSQL and the store are those of the tests in the place of two images, and addresses within the composition are
translated. What images, volumes and networks do is not shown here.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import httpx
import psycopg
import pytest
import yaml

from tests.acceptance.service import RIDGE, SPEC, blobs, until
from tests.alike import alike
from tests.postgres import PostgresServer
from tests.proxy import Proxy
from tests.running import ROOT, environment, free_port
from tests.s3 import S3Server

pytestmark = [pytest.mark.long, pytest.mark.postgres, pytest.mark.s3]

GIVEN = {"TSUIKA_KEY": "key-of-all-callers", "POSTGRES_PASSWORD": "password1", "S3_SECRET": "secret1"}
"""What compose.yaml asks whoever starts it for."""
IMAGE = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
"""The last stage of it: the image that runs."""
VARIABLES = dict(re.findall(r"\b(TSUIKA_\w+|PORT)=(\S+)", IMAGE))
COMMAND, CHECK = (
    json.loads(re.search(rf"{word} (?:--.*\\\n\s*)?(?:CMD )?(\[.*\])", IMAGE)[1]) for word in ("\nCMD", "HEALTHCHECK")
)
PROGRAMS = {"tsuika": [sys.executable, "-m", "service.cli"], "python": [sys.executable]}


def composed() -> dict[str, Any]:
    """The services of compose.yaml, with what is given in the place of ${NAME:?...}."""
    text = (ROOT / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert asked == set(GIVEN)
    services: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+)[^}]*\}", lambda name: GIVEN[name[1]], text))[
        "services"
    ]
    return services


class Container:
    """A process in the place of a container of our image. `here`: addresses as they are on this machine."""

    def __init__(self, name: str, described: Mapping[str, Any], folder: Path, here: Mapping[str, str]) -> None:
        [(volume, inside)] = (text.split(":") for text in described["volumes"])
        assert inside == VARIABLES["TSUIKA_DATA"]
        self.name, self.described, self.log = name, described, folder / f"{name}.log"
        variables = {**VARIABLES, **described["environment"], "TSUIKA_DATA": str(folder / volume)}
        if "ports" in described:  # as many services as containers listen on the one that is inside
            assert described["ports"][0].rpartition(":")[2] == VARIABLES["PORT"]
            variables["PORT"] = str(free_port())
        for address, translated in here.items():
            variables = {key: value.replace(address, translated) for key, value in variables.items()}
        self.url = f"http://127.0.0.1:{variables['PORT']}"
        self._variables = {**environment(), **variables}
        self.process = self._started(described.get("command", COMMAND))

    def healthy(self) -> bool:
        """Whether it is so by the check of its image."""
        assert self.process.poll() is None, self.said()
        return self._started(CHECK[:]).wait(30) == 0

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def caller(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {GIVEN['TSUIKA_KEY']}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False)

    def _started(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as sink:
            whole = [*PROGRAMS[command[0]], *command[1:]]
            return subprocess.Popen(whole, cwd=ROOT, env=self._variables, stdout=sink, stderr=sink)


@pytest.fixture
def here(postgres: PostgresServer, s3: S3Server) -> Iterator[dict[str, str]]:
    """Role, database and bucket as the two images make them, and where they are on this machine."""
    services, url = composed(), postgres.empty()
    made, store = services["postgres"]["environment"], services["store"]["environment"]
    name = re.search(r"/(\w+)\?", url)[1]
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {made['POSTGRES_USER']} LOGIN PASSWORD '{made['POSTGRES_PASSWORD']}'")
        admin.execute(f"ALTER DATABASE {name} OWNER TO {made['POSTGRES_USER']}")
    with urlopen(Request(f"{s3.url}/{store['S3_BUCKET']}", method="PUT"), timeout=60):
        pass
    proxy = Proxy(postgres.socket)
    yield {f"@postgres/{made['POSTGRES_DB']}": f"@127.0.0.1:{proxy.port}/{name}", "http://store:8333": s3.url}
    proxy.close()


def test_what_compose_starts_learns_a_batch_and_both_services_predict_from_it(
    here: dict[str, str], tmp_path: Path
) -> None:
    waiting = {name: each for name, each in composed().items() if each["image"] == "tsuika"}
    healthy, running = {"postgres", "store"}, dict[str, Container]()
    try:
        while waiting:
            for name, described in list(waiting.items()):
                assert {on["condition"] for on in described["depends_on"].values()} == {"service_healthy"}
                if described["depends_on"].keys() <= healthy:
                    running[name] = Container(name, waiting.pop(name), tmp_path, here)
            for name in running.keys() - healthy:
                if running[name].described.get("healthcheck") != {"disable": True}:
                    until(running[name].healthy, what=f"the health of {name}", pause=0.2)
                    healthy.add(name)
        services, workers = ([running[f"{kind}-{k}"] for k in (1, 2)] for kind in ("service", "worker"))
        for worker in workers:
            until(lambda worker=worker: " begins" in worker.said(), what="a worker")
        inputs, labels = blobs(1)
        body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
        with services[0].caller() as one, services[1].caller() as two:
            # four processes began at once: on a busy machine the database may answer late, and that is a 503
            until(lambda: httpx.get(f"{services[0].url}/v1/models", timeout=60).status_code != 503, what="the database")
            assert httpx.get(f"{services[0].url}/v1/models", timeout=60).status_code == 401
            until(lambda: two.get("/readyz").is_success, what="the second service")
            made = one.post("/v1/models", json={"name": "digits", "input": SPEC, "method": RIDGE})
            assert made.status_code == 201, made.text
            done = two.post("/v1/models/digits/updates?wait=60", json=body).json()
            assert (done["state"], done["verdict"]) == ("succeeded", "promoted"), done
            asked = "/v1/models/digits/predictions", {"inputs": inputs[:3]}
            until(lambda: one.post(asked[0], json=asked[1]).status_code == 200, what="the version in the other service")
            assert alike(one.post(asked[0], json=asked[1]).json(), two.post(asked[0], json=asked[1]).json())

        def told() -> int:
            return sum("succeeded" in worker.said() or "promoted" in worker.said() for worker in workers)

        until(told, what="the word of the worker that learned it")
        assert told() == 1
        for container in running.values():
            container.process.send_signal(signal.SIGTERM)
        assert {name: each.process.wait(60) for name, each in running.items()} == dict.fromkeys(running, 0)
    finally:
        for container in running.values():
            container.process.kill()
            container.process.wait()
