"""A model of vectors knows its columns by name: through each door rows whose columns come in another order are learned
and answered to the bit, and where a column is renamed or missing nothing is stored and the refusal names it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas
import polars
import pytest

from service.cli import main
from service.client import Client, ClientError, RemoteModel
from tests.acceptance.service import until
from tests.running import Server

MODEL = "named-columns"
NAMES = [f"q{k}" for k in range(5)]
MIXED = [3, 0, 4, 2, 1]
CENTRES = {"apple": (7, 1, 3, 5, 0), "pear": (2, 6, 4, 1, 9), "plum": (4, 3, 9, 8, 2)}


class Table:
    """Rows of numbers with names and labels, in whichever form a door takes them."""

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[float]], labels: Sequence[str]) -> None:
        self.names, self.rows, self.labels = [*names], [[*row] for row in rows], [*labels]

    @property
    def records(self) -> list[dict[str, float]]:
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]

    def csv(self, labelled: bool) -> bytes:
        written = io.StringIO()
        writer = csv.writer(written)
        writer.writerow([*self.names, *["label"] * labelled])
        writer.writerows([*row, *[label] * labelled] for row, label in zip(self.rows, self.labels, strict=True))
        return written.getvalue().encode()

    def objects(self, labelled: bool) -> list[dict[str, Any]]:
        each = zip(self.records, self.labels, strict=True)
        return [{"label": label, **row} if labelled else row for row, label in each]

    def frame(self, package: Any, labelled: bool = False) -> Any:
        cells = {name: [row[k] for row in self.rows] for k, name in enumerate(self.names)}
        return package.DataFrame({"label": self.labels, **cells} if labelled else cells)

    def mixed(self) -> Table:
        return Table([self.names[k] for k in MIXED], [[row[k] for k in MIXED] for row in self.rows], self.labels)

    def renamed(self) -> Table:
        return Table([f"z{k}" for k in range(5)], self.rows, self.labels)

    def lacking(self) -> Table:
        return Table(self.names[:-1], [row[:-1] for row in self.rows], self.labels)


def fruits(each: int, seed: int) -> Table:
    random = np.random.default_rng(seed)
    labels = [name for _ in range(each) for name in CENTRES]
    return Table(NAMES, random.normal([CENTRES[name] for name in labels], 0.7).round(3).tolist(), labels)


def saved(folder: Path, ending: str, table: Table, labelled: bool) -> str:
    """A file that the terminal takes."""
    file = folder / f"rows.{ending}"
    if ending == "parquet":
        table.frame(polars, labelled).write_parquet(file)
    elif ending == "csv":
        file.write_bytes(table.csv(labelled))
    else:
        rows = [json.dumps(row) for row in table.objects(labelled)]
        file.write_text("\n".join(rows) if ending == "jsonl" else f"[{','.join(rows)}]")
    return str(file)


@pytest.fixture(scope="module")
def model(shared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteModel]:
    """Made from a file, as the terminal guesses it."""
    file = saved(tmp_path_factory.mktemp("named"), "csv", fruits(60, 0), labelled=True)
    with pytest.MonkeyPatch.context() as patched, Client(shared.url) as client:
        patched.setenv("TSUIKA_URL", shared.url)
        assert main(["init", MODEL, file]) == 0
        assert main(["push", MODEL, file]) == 0
        yield client.model(MODEL)


@pytest.fixture
def http(shared: Server, model: RemoteModel) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{shared.url}/v1/models/{MODEL}", timeout=60) as calls:
        yield calls


def answered(answer: httpx.Response) -> Any:
    """Raises ClientError with the refusal."""
    if answer.status_code >= 400:
        said = answer.json()
        raise ClientError(str(said.get("detail") or said["message"]))
    return answer.json()["predictions"] if "predictions" in answer.json() else answer.json()


def by_page(url: str, path: str, content: bytes, **data: str) -> str:
    """What somebody reads who sends a file, or where it leads. Raises ClientError with the refusal."""
    with httpx.Client(base_url=url, headers={"accept": "text/html"}, timeout=60) as browser:
        forms = re.findall(r"<form.*?</form>", browser.get(path).text, re.S)
        [form] = [form for form in forms if f'action="{path}"' in form]
        hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form))
        fields = {name: unescape(value) for name, value in hidden.items()} | data
        answer = browser.post(path, data=fields, files={"file": ("rows.csv", content)})
    said = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", answer.text)))
    if answer.status_code >= 400:
        raise ClientError(said)
    return answer.headers.get("location", "") or said


Ask = Callable[[Table], Any]


@pytest.fixture
def ask(
    request: pytest.FixtureRequest,
    shared: Server,
    model: RemoteModel,
    http: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Ask:
    """Asks about rows through a door. Raises ClientError or ValueError."""
    monkeypatch.setenv("TSUIKA_URL", shared.url)
    text = {"content-type": "text/csv"}

    def typed(*words: str) -> str:
        code, printed = main(["predict", MODEL, *words]), capsys.readouterr()
        if code:
            raise ClientError(printed.err)
        return printed.out

    def by_row(table: Table) -> list[str]:
        return [typed("--row", ",".join(f"{name}={cell}" for name, cell in row.items())) for row in table.records]

    def by_get(table: Table) -> list[Any]:
        return [answered(http.get("/predictions", params={"input": json.dumps(row)})) for row in table.records]

    def split(table: Table) -> Any:
        return answered(
            http.post("/invocations", json={"dataframe_split": {"columns": table.names, "data": table.rows}})
        )

    def columns(table: Table) -> Any:
        return answered(http.post("/invocations", json={"inputs": table.frame(pandas).to_dict("list")}))

    doors: dict[str, Ask] = {
        "csv": lambda t: answered(http.post("/predictions", content=t.csv(False), headers=text)),
        "csv with labels": lambda t: answered(http.post("/predictions", content=t.csv(True), headers=text)),
        "large csv": lambda t: answered(
            http.post("/predictions", content=Table(t.names, t.rows * 5000, t.labels * 5000).csv(False), headers=text)
        ),
        "json": lambda t: answered(http.post("/predictions", json={"inputs": t.records})),
        "large json": lambda t: answered(http.post("/predictions", json={"inputs": t.records * 5000})),
        "get": by_get,
        "mlflow csv": lambda t: answered(http.post("/invocations", content=t.csv(False), headers=text)),
        "mlflow split": split,
        "mlflow records": lambda t: answered(http.post("/invocations", json={"dataframe_records": t.records})),
        "mlflow columns": columns,
        "python csv": lambda t: model.predict(t.csv(False)).model_dump()["predictions"],
        "pandas": lambda t: model.predict(t.frame(pandas)).model_dump()["predictions"],
        "pandas with labels": lambda t: model.predict(t.frame(pandas, True)).model_dump()["predictions"],
        "polars": lambda t: model.predict(t.frame(polars)).model_dump()["predictions"],
        "large pandas": lambda t: model.predict(pandas.concat([t.frame(pandas)] * 500)).model_dump()["predictions"],
        "dicts": lambda t: model.predict(t.records).model_dump()["predictions"],
        "page": lambda t: by_page(shared.url, f"/models/{MODEL}/predict", t.csv(False)),
        "row": by_row,
        **{
            f"terminal {ending}": lambda t, ending=ending: typed(saved(tmp_path, ending, t, False))
            for ending in ("csv", "jsonl", "json", "parquet")
        },
    }
    return doors[request.param]


ASKED = (
    "csv", "csv with labels", "large csv", "json", "large json", "get", "mlflow csv", "mlflow split", "mlflow records",
    "mlflow columns", "python csv", "pandas", "pandas with labels", "polars", "large pandas", "dicts", "page", "row",
    "terminal csv", "terminal jsonl", "terminal json", "terminal parquet",
)  # fmt: skip


@pytest.mark.parametrize("ask", ASKED, indirect=True)
def test_rows_are_answered_by_the_names_of_their_columns(ask: Ask) -> None:
    table = fruits(2, 1)
    answers = ask(table)
    assert ask(table.mixed()) == answers
    with pytest.raises((ClientError, ValueError), match=r"\b(q0|z0)\b"):
        ask(table.renamed())
    with pytest.raises((ClientError, ValueError), match=r"\bq4\b"):
        ask(table.lacking())


Learn = Callable[[Table], Any]


@pytest.fixture
def learn(
    request: pytest.FixtureRequest,
    shared: Server,
    model: RemoteModel,
    http: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Learn:
    """Sends rows to be stored through a door. Raises ClientError or ValueError."""
    monkeypatch.setenv("TSUIKA_URL", shared.url)
    text = {"content-type": "text/csv"}

    def sent(table: Table) -> None:
        update = by_page(shared.url, f"/models/{MODEL}/send", table.csv(True), target="label")
        assert until(lambda: httpx.get(f"{shared.url}/v1{update}").json()["state"] == "succeeded")

    def typed(ending: str, table: Table) -> None:
        code, printed = main(["push", MODEL, saved(tmp_path, ending, table, True)]), capsys.readouterr()
        if code == 2:
            raise ClientError(printed.err)

    def large(table: Table) -> Table:
        """One label, so that nothing of the rows goes without being stored."""
        return Table(table.names, table.rows * 4000, table.labels * 4000)

    doors: dict[str, Learn] = {
        "csv": lambda t: answered(http.post("/batches", content=t.csv(True), headers=text)),
        "large csv": lambda t: answered(http.post("/batches", content=large(t).csv(True), headers=text)),
        "json": lambda t: answered(http.post("/batches", json={"inputs": t.records, "labels": t.labels})),
        "python csv": lambda t: model.add_batch(t.csv(True)),
        "pandas": lambda t: model.add_batch(t.frame(pandas, True), target="label"),
        "polars": lambda t: model.add_batch(t.frame(polars), t.labels),
        "large pandas": lambda t: model.add_batch(large(t).frame(pandas, True), target="label"),
        "dicts": lambda t: model.add_batch(t.records, t.labels),
        "page": sent,
        **{
            f"terminal {ending}": lambda t, ending=ending: typed(ending, t)
            for ending in ("csv", "jsonl", "json", "parquet")
        },
    }
    return doors[request.param]


LEARNED = (
    "csv", "large csv", "json", "python csv", "pandas", "polars", "large pandas", "dicts", "page", "terminal csv",
    "terminal jsonl", "terminal json", "terminal parquet",
)  # fmt: skip


@pytest.mark.parametrize("learn", LEARNED, indirect=True)
def test_rows_are_stored_by_the_names_of_their_columns(
    learn: Learn, model: RemoteModel, http: httpx.Client, request: pytest.FixtureRequest
) -> None:
    table = fruits(4, 10 + LEARNED.index(request.node.callspec.params["learn"]))
    before = {batch.id for batch in model.batches()}
    for wrong, named in ((table.renamed(), r"\b(q0|z0)\b"), (table.lacking(), r"\bq4\b")):
        with pytest.raises((ClientError, ValueError), match=named):
            learn(wrong)
    assert {batch.id for batch in model.batches()} == before, "nothing is stored"
    learn(table.mixed())
    [new] = [batch.id for batch in model.batches() if batch.id not in before]
    stored = [row["input"] for row in http.get(f"/batches/{new}/rows", params={"limit": 12}).json()["items"]]
    assert np.array_equal(np.array(stored, np.float32), np.array(table.rows, np.float32))


def test_arrays_and_lists_go_by_position(
    model: RemoteModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = fruits(2, 1)
    rows = np.array(table.rows, np.float32)
    answers = model.predict(table.frame(pandas)).classes
    assert model.predict(rows).classes == model.predict(table.rows).classes == answers
    np.savez(tmp_path / "rows.npz", X=rows)
    (tmp_path / "rows.json").write_text(json.dumps(table.rows))
    for name in ("rows.npz", "rows.json"):
        assert main(["predict", MODEL, str(tmp_path / name)]) == 0
        assert [row["class"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == answers
    with pytest.raises(ClientError, match="to_numpy"):
        model.predict(pandas.DataFrame(rows))


def test_the_names_are_the_models(model: RemoteModel, shared: Server) -> None:
    assert model.info().model_dump()["input"] == {"kind": "vector", "size": 5, "scale": None, "names": NAMES}
    page = httpx.get(f"{shared.url}/models/{MODEL}/predict", headers={"accept": "text/html"}).text
    assert [f"{name} (number)" in page for name in NAMES] == [True] * 5
