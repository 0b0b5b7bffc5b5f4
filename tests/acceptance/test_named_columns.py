"""A model of vectors knows its columns by name: through each door rows whose columns come in another order are learned
and answered to the bit, and where a column is renamed or missing nothing is stored and the refusal names it."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from service.contract.inputs import places_of
from tests.acceptance.service import until
from tests.alike import alike
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

    def called(self, names: Mapping[str, str]) -> Table:
        return Table([names.get(name, name) for name in self.names], self.rows, self.labels)

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


def large_apart(doors: Iterable[str]) -> list[Any]:
    """Parameters of these doors; large bodies, of 24,000 rows, are long."""
    return [pytest.param(door, marks=pytest.mark.long if door.startswith("large") else ()) for door in doors]


@dataclass
class Doors:
    """Through which rows come to the model."""

    url: str
    model: RemoteModel
    http: httpx.Client
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def typed(self, verb: str, *words: str) -> str:
        """What the terminal prints. Raises ClientError where it refuses."""
        code, printed = main([verb, MODEL, *words]), self.capsys.readouterr()
        if code == 2:
            raise ClientError(printed.err)
        return printed.out

    def posted(self, path: str, **body: Any) -> Any:
        return answered(self.http.post(path, **body))

    def csv(self, path: str, table: Table, labelled: bool) -> Any:
        return self.posted(path, content=table.csv(labelled), headers={"content-type": "text/csv"})

    def answers(self, inputs: Any) -> Any:
        return self.model.predict(inputs).model_dump()["predictions"]


@pytest.fixture
def doors(
    shared: Server,
    model: RemoteModel,
    http: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doors:
    monkeypatch.setenv("TSUIKA_URL", shared.url)
    return Doors(shared.url, model, http, tmp_path, capsys)


IN_PROGRAMS: dict[str, Callable[[Table], Any]] = {
    "pandas": lambda t: t.frame(pandas),
    "polars": lambda t: t.frame(polars),
    "dicts": lambda t: t.records,
    "records": lambda t: t.frame(pandas).to_records(index=False),
    "list of records": lambda t: list(t.frame(pandas).to_records(index=False)),
    "rows of pandas": lambda t: [row for _, row in t.frame(pandas).iterrows()],
    "tuples of pandas": lambda t: list(t.frame(pandas).itertuples(index=False)),
    "rows of polars": lambda t: list(t.frame(polars).iter_rows(named=True)),
    "rows of sqlite": lambda t: selected(t),
}
"""Rows with names as programs have them."""


def selected(table: Table) -> list[sqlite3.Row]:
    base = sqlite3.connect(":memory:")
    base.row_factory = sqlite3.Row
    base.execute(f"create table rows ({', '.join(table.names)})")
    base.executemany(f"insert into rows values ({', '.join('?' * len(table.names))})", table.rows)
    return base.execute("select * from rows order by rowid").fetchall()


ASK: dict[str, Callable[[Doors, Table], Any]] = {
    "csv": lambda d, t: d.csv("/predictions", t, False),
    "csv with labels": lambda d, t: d.csv("/predictions", t, True),
    "large csv": lambda d, t: d.csv("/predictions", Table(t.names, t.rows * 5000, t.labels * 5000), False),
    "json": lambda d, t: d.posted("/predictions", json={"inputs": t.records}),
    "large json": lambda d, t: d.posted("/predictions", json={"inputs": t.records * 5000}),
    "get": lambda d, t: [answered(d.http.get("/predictions", params={"input": json.dumps(row)})) for row in t.records],
    "mlflow csv": lambda d, t: d.csv("/invocations", t, False),
    "mlflow split": lambda d, t: d.posted(
        "/invocations", json={"dataframe_split": {"columns": t.names, "data": t.rows}}
    ),
    "mlflow records": lambda d, t: d.posted("/invocations", json={"dataframe_records": t.records}),
    "mlflow columns": lambda d, t: d.posted("/invocations", json={"inputs": t.frame(pandas).to_dict("list")}),
    "python csv": lambda d, t: d.answers(t.csv(False)),
    "pandas with labels": lambda d, t: d.answers(t.frame(pandas, True)),
    "large pandas": lambda d, t: d.answers(pandas.concat([t.frame(pandas)] * 500)),
    **{name: lambda d, t, rows=rows: d.answers(rows(t)) for name, rows in IN_PROGRAMS.items()},
    "page": lambda d, t: by_page(d.url, f"/models/{MODEL}/predict", t.csv(False)),
    "row": lambda d, t: [
        d.typed("predict", "--row", ",".join(f"{name}={cell}" for name, cell in row.items())) for row in t.records
    ],
    **{
        f"terminal {ending}": lambda d, t, ending=ending: d.typed("predict", saved(d.folder, ending, t, False))
        for ending in ("csv", "jsonl", "json", "parquet")
    },
}
"""Asks about rows through a door. Raises ClientError or ValueError."""


@pytest.mark.parametrize("door", large_apart(ASK))
def test_rows_are_answered_by_the_names_of_their_columns(door: str, doors: Doors) -> None:
    table = fruits(2, 1)
    answers = ASK[door](doors, table)
    assert alike(ASK[door](doors, table.mixed()), answers)
    for wrong, named in ((table.renamed(), r"\b(q0|z0)\b"), (table.lacking(), r"\bq4\b")):
        with pytest.raises((ClientError, ValueError), match=named):
            ASK[door](doors, wrong)


def large(table: Table) -> Table:
    """One label, so that nothing of the rows goes without being stored."""
    return Table(table.names, table.rows * 4000, table.labels * 4000)


def sent(doors: Doors, table: Table) -> None:
    update = by_page(doors.url, f"/models/{MODEL}/send", table.csv(True), target="label")
    assert until(lambda: httpx.get(f"{doors.url}/v1{update}").json()["state"] == "succeeded")


LEARN: dict[str, Callable[[Doors, Table], Any]] = {
    "csv": lambda d, t: d.csv("/batches", t, True),
    "large csv": lambda d, t: d.csv("/batches", large(t), True),
    "json": lambda d, t: d.posted("/batches", json={"inputs": t.records, "labels": t.labels}),
    "python csv": lambda d, t: d.model.add_batch(t.csv(True)),
    "large pandas": lambda d, t: d.model.add_batch(large(t).frame(pandas, True), target="label"),
    **{name: lambda d, t, rows=rows: d.model.add_batch(rows(t), t.labels) for name, rows in IN_PROGRAMS.items()},
    "labels in pandas": lambda d, t: d.model.add_batch(t.frame(pandas, True), target="label"),
    "page": sent,
    **{
        f"terminal {ending}": lambda d, t, ending=ending: d.typed("push", saved(d.folder, ending, t, True))
        for ending in ("csv", "jsonl", "json", "parquet")
    },
}
"""Sends rows to be stored through a door. Raises ClientError or ValueError."""


@pytest.mark.parametrize("door", large_apart(LEARN))
def test_rows_are_stored_by_the_names_of_their_columns(door: str, doors: Doors) -> None:
    table = fruits(4, 10 + [*LEARN].index(door))
    before = {batch.id for batch in doors.model.batches()}
    for wrong, named in ((table.renamed(), r"\b(q0|z0)\b"), (table.lacking(), r"\bq4\b")):
        with pytest.raises((ClientError, ValueError), match=named):
            LEARN[door](doors, wrong)
    assert {batch.id for batch in doors.model.batches()} == before, "nothing is stored"
    LEARN[door](doors, table.mixed())
    [new] = [batch.id for batch in doors.model.batches() if batch.id not in before]
    stored = [row["input"] for row in doors.http.get(f"/batches/{new}/rows", params={"limit": 12}).json()["items"]]
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


SPELT = {"plain": "caf\u00e9", "blanks at the ends": " caf\u00e9  ", "not composed": "cafe\u0301"}
"""Ways to spell a name that is one."""


@pytest.mark.parametrize("making", SPELT)
def test_blanks_at_the_ends_of_names_and_how_letters_are_composed_do_not_count(
    making: str, shared: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSUIKA_URL", shared.url)
    table = fruits(20, 0)
    name = f"spelt-{making.replace(' ', '-')}"
    file = saved(tmp_path, "csv", table.called({"q0": SPELT[making]}), labelled=True)
    assert main(["init", name, file]) == main(["push", name, file]) == 0
    with Client(shared.url) as client:
        model = client.model(name)
        assert "caf\u00e9" in places_of(model.info().input)
        answers = model.predict(table.called({"q0": SPELT["plain"]}).frame(pandas)).classes
        for spelt in SPELT.values():
            asked = table.called({"q0": spelt})
            for rows in (*IN_PROGRAMS.values(), lambda t: t.csv(False)):
                if rows not in (IN_PROGRAMS["tuples of pandas"], IN_PROGRAMS["rows of sqlite"]):
                    assert model.predict(rows(asked)).classes == answers
            frame = asked.frame(pandas, True).rename(columns={"label": spelt.replace("c", "t")})
            model.add_batch(frame, target=SPELT[making].replace("c", "t"), again=True)


def test_any_text_is_a_name(
    shared: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of formulas, tags, and the marks between cells."""
    monkeypatch.setenv("TSUIKA_URL", shared.url)
    names = ["=1+1", "<b>bold</b>", 'a,"b', "a=b", "a"]
    table = fruits(20, 0)
    table = table.called(dict(zip(table.names, names, strict=True)))
    with Client(shared.url) as client:
        model = client.create_model("any-names", {"kind": "vector", "size": 5, "names": names})
        model.push(table.frame(pandas), table.labels)
        answers = model.predict(table.rows[:3]).classes
        assert model.predict(table.mixed().csv(False)).classes[:3] == answers
    for cells, answer in zip(table.rows[:3], answers, strict=True):
        row = io.StringIO()
        csv.writer(row).writerow(f"{name}={cell}" for name, cell in reversed([*zip(names, cells, strict=True)]))
        assert main(["predict", "any-names", "--row", row.getvalue().strip()]) == 0
        assert f"\n{answer}," in capsys.readouterr().out
    page = httpx.get(f"{shared.url}/models/any-names/predict", headers={"accept": "text/html"}).text
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page
