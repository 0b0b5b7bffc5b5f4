"""A slip in a label, a missing column and shuffled labels, by the page, the terminal and Python: each has its sentence
with the way out, nothing of it is learned, and what was live stays live."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.cli import main
from service.client import Client, ClientError, RemoteModel
from tests.acceptance.service import until
from tests.running import Server

MODEL = "three-mistakes"
HEADER = ["weight", "sugar", "acid", "colour", "label"]
CENTRES = {"apple": (7, 1, 3, 5), "pear": (2, 6, 4, 1), "plum": (4, 3, 9, 8)}
Door = Callable[[Path], str]


def fruits(each: int, seed: int) -> list[list[str]]:
    random = np.random.default_rng(seed)
    names = [name for _ in range(each) for name in CENTRES]
    return [[*(f"{number:.3f}" for number in random.normal(CENTRES[name], 0.7)), name] for name in names]


def slipped(seed: int) -> list[list[str]]:
    table = [HEADER, *fruits(4, seed)]
    table[7][-1] = "aple"
    return table


def lacking(seed: int) -> list[list[str]]:
    return [[*row[:2], *row[3:]] for row in (HEADER, *fruits(4, seed))]


def shuffled(seed: int) -> list[list[str]]:
    table = fruits(80, seed)
    labels = np.random.default_rng(seed).permutation([row[-1] for row in table])
    return [HEADER, *([*row[:-1], label] for row, label in zip(table, labels, strict=True))]


@pytest.fixture(scope="module")
def model(shared: Server) -> Iterator[RemoteModel]:
    with Client(shared.url) as client:
        columns = [{"name": name, "kind": "number"} for name in HEADER[:-1]]
        made = client.create_model(MODEL, {"kind": "table", "columns": columns}, method={"name": "ridge"})
        rows = [dict(zip(HEADER, map(float, row[:-1]), strict=False)) for row in fruits(80, 0)]
        assert made.push(rows, [row[-1] for row in fruits(80, 0)], new_classes="allow").verdict == "promoted"
        yield made


@pytest.fixture
def door(
    request: pytest.FixtureRequest,
    shared: Server,
    model: RemoteModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Door:
    """Sends a file, and says what somebody reads then."""
    monkeypatch.setenv("TSUIKA_URL", shared.url)

    def by_page(file: Path) -> str:
        path = f"/models/{MODEL}/send"
        with httpx.Client(base_url=shared.url, headers={"accept": "text/html"}, timeout=60) as browser:
            [form] = [
                f for f in re.findall(r"<form.*?</form>", browser.get(path).text, re.S) if f'action="{path}"' in f
            ]
            hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form))
            data = {name: unescape(value) for name, value in hidden.items()} | {"target": "label"}
            sent = browser.post(path, data=data, files={"file": (file.name, file.read_bytes())})
            if sent.status_code == 303:
                update = sent.headers["location"]
                assert until(lambda: httpx.get(f"{shared.url}/v1{update}", timeout=60).json()["state"] == "succeeded")
                sent = browser.get(update)
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", sent.text)))

    def by_terminal(file: Path) -> str:
        main(["push", MODEL, str(file)])
        printed = capsys.readouterr()
        return printed.err + printed.out

    def by_python(file: Path) -> str:
        try:
            return repr(model.push(file, target="label"))
        except ClientError as refused:
            return str(refused)

    doors: dict[str, Door] = {"page": by_page, "terminal": by_terminal, "python": by_python}
    return doors[request.param]


SLIP, MISSING, SHUFFLED = "a slip in a label", "a missing column", "shuffled labels"
TABLES = {SLIP: slipped, MISSING: lacking, SHUFFLED: shuffled}
LOOKS_SHUFFLED = "Rejected: the labels look shuffled."
DUE = {
    ("page", SLIP): ['Line 8, column "label": "aple"', 'Near: "apple"', "tick it and choose the file again"],
    ("page", MISSING): ["Nothing was learned.", '"acid" is missing: add it, with empty cells', "send the file again"],
    ("page", SHUFFLED): [LOOKS_SHUFFLED, "Version 1 stays live.", "Take it back…"],
    ("terminal", SLIP): ["Nothing was sent.", 'line 8   label "aple"   near: "apple"', "--new-classes=aple"],
    ("terminal", MISSING): ['line 1: "acid" is missing', "its cells are empty. Nothing was sent."],
    ("terminal", SHUFFLED): [LOOKS_SHUFFLED, "Version 1 stays live.", f"tsuika retract {MODEL} bat_"],
    ("python", SLIP): ['Line 8, column "label": "aple"', 'Near: "apple"', 'new_classes="allow"'],
    ("python", MISSING): ['"acid" is missing: add it, with empty cells where values are not known.'],
    ("python", SHUFFLED): [LOOKS_SHUFFLED, "Version 1 stays live.", ".retract(['bat_"],
}


@pytest.mark.parametrize(("door", "mistake"), DUE, indirect=["door"], ids=map(" ".join, DUE))
def test_each_mistake_has_its_sentence_and_a_way_out_at_each_door(
    door: Door, mistake: str, model: RemoteModel, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file = tmp_path / "mistake.csv"
    with file.open("w", newline="") as written:
        csv.writer(written).writerows(
            TABLES[mistake](10 + [*DUE].index((request.node.callspec.params["door"], mistake)))
        )
    before = {batch.id for batch in model.batches()}
    said = door(file)
    for sentence in DUE[request.node.callspec.params["door"], mistake]:
        assert sentence in said
    added = [batch for batch in model.batches() if batch.id not in before]
    assert [batch.state for batch in added] == (["rejected"] if mistake == SHUFFLED else []), "nothing of it is learned"
    info = model.info()
    assert (info.live_version, info.classes, info.pending.rows) == (1, [*CENTRES], 0)
