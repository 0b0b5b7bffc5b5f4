"""A version that leaves the service answers the same elsewhere: as a program, with its weights and its card."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from service.client import Client, InvalidContent, NotFound, RemoteModel
from service.contract.inputs import Architecture, ImageInput
from service.contract.reports.number_report import NumberReport
from service.contract.tables import TableInput
from service.export import folder
from service.export.kinds.classes import ROUNDINGS, ClassKind
from service.export.kinds.numbers import NumberKind as NumberCard
from service.export.onnx_file import NoOnnx, onnx_answers, onnx_file
from service.export.sample_rows import sample_rows
from service.learning.data.serialization import pack
from service.learning.network.input_scale import InputScale
from service.learning.network.lifts import make_lift
from service.learning.network.network import fresh, parts_of
from tests.alike import alike
from tests.client.conftest import KEY
from tests.client.test_result import REPORT
from tests.running import ROOT, environment
from tsuika.export import ProgramDiffers, export_version

COLUMNS = [
    {"name": "city", "kind": "category"},
    {"name": "size", "kind": "category", "values": ["small", "large"]},
    {"name": "rooms", "kind": "number"},
    {"name": "built", "kind": "date"},
    {"name": "balcony", "kind": "boolean"},
]


def classes(client: Client, name: str) -> RemoteModel:
    """A model of vectors whose classes want a lift."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(240, 5)) * [1, 10, 0.1, 1, 1] + [0, 100, 0, 0, 0]
    y = [("in", "o`u|t", "on")[int(abs(row[0]) > 0.7) + int(row[3] > 1)] for row in x]
    model = client.create_model(name, {"kind": "vector", "size": 5})
    model.update(x.tolist(), y, new_classes="allow")
    return model


@pytest.fixture(scope="module")
def of_classes(service_url: str) -> Iterator[RemoteModel]:
    """One of them for all tests that take nothing but its version out."""
    with Client(service_url, KEY) as client:
        yield classes(client, "leaves")


def table(client: Client, name: str) -> RemoteModel:
    """A model of prices, whose logarithm is learned, from rows of a table with gaps."""
    rng = np.random.default_rng(8)
    rows: list[dict[str, Any]] = [
        {
            "city": ["Osaka", "Kyōto", None][k % 3],
            "size": ["small", "large"][k % 2],
            "rooms": int(rng.integers(1, 6)) if k % 7 else None,
            "built": f"20{10 + k % 15}-0{1 + k % 9}-11",
            "balcony": bool(k % 4),
        }
        for k in range(150)
    ]
    prices = [50.0 + 10 * (row["rooms"] or 2) + 30 * (row["city"] == "Kyōto") + rng.normal() for row in rows]
    target = {"kind": "number", "scale": "log"}
    model = client.create_model(name, {"kind": "table", "columns": COLUMNS}, target=target)
    model.update(rows, prices)
    return model


def images(client: Client, name: str) -> RemoteModel:
    """A model of images with a network of convolutions that nobody trained."""
    spec = ImageInput(kind="image", channels=1, height=12, width=12)
    architecture = Architecture.model_validate({"backbone": {"name": "cnn", "channels": [8, 16]}})
    scale = InputScale(torch.tensor(127.5), torch.tensor(127.5))
    network = fresh(spec, architecture, scale, ["a", "b", "c"], torch.Generator().manual_seed(3))
    tensors = {f"{part}/{n}": t.numpy() for part, ts in parts_of(network).items() for n, t in ts.items()}
    model = client.create_model(name, spec.model_dump())
    model.import_version(pack(tensors), architecture=architecture.model_dump(), classes=["a", "b", "c"], promote=True)
    return model


@pytest.mark.parametrize(
    ("make", "onnx"),
    [
        (classes, False),
        pytest.param(table, True, marks=pytest.mark.long),
        pytest.param(classes, True, marks=pytest.mark.long),
        pytest.param(images, True, marks=pytest.mark.long),
    ],
)
def test_program_answers_as_the_service_does(make: Any, onnx: bool, client: Client, tmp_path: Path) -> None:
    model = make(client, f"leaves-{make.__name__}{'-onnx' if onnx else ''}")
    done = export_version(model, "live", tmp_path / "out", onnx)
    assert done.difference <= folder.CLOSE
    assert done.rows == 32
    files = {"weights.safetensors", "program.pt2", "README.md", *(["program.onnx"] if onnx else [])}
    assert {path.name for path in done.folder.iterdir()} == files
    names, answers, *of_onnx = run_card(done.folder)
    version = model.version(done.version)
    assert names == (version.classes or ["value"])
    assert answers.shape == (1, len(names))
    assert np.isfinite(answers).all()
    assert len(of_onnx) == onnx
    assert all(np.allclose(other, answers, rtol=folder.CLOSE, atol=folder.CLOSE) for other in of_onnx)


class Bessel(torch.nn.Module):
    """Computes what ONNX has no operator for."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(rows)


@pytest.mark.long
def test_operator_that_onnx_lacks_is_named() -> None:
    with pytest.raises(NoOnnx, match="bessel_j0"):
        onnx_file(torch.export.export(Bessel(), (torch.zeros(2, 3),)))
    with pytest.raises(NoOnnx, match="onnxruntime cannot run this version"):
        onnx_answers(b"no model", torch.zeros(1, 3))


def test_without_the_packages_of_onnx_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    nothing_asked = cast(RemoteModel, None)
    for act in (
        lambda: onnx_answers(b"", torch.zeros(1)),
        lambda: onnx_file(cast(Any, None)),
        lambda: export_version(nothing_asked, 1, Path("no-folder"), onnx=True),
    ):
        with pytest.raises(NoOnnx, match=r"pip install -e '\.\[onnx\]'"):
            act()


def test_large_logits_differ_by_what_float32_holds_of_them(client: Client, tmp_path: Path) -> None:
    rng, classes = np.random.default_rng(5), ["a", "b", "c"]
    spec = {"kind": "vector", "size": 64, "scale": {"mean": 3.0, "std": 7.0}}
    model = client.create_model("leaves-large", spec)
    tensors = {
        "head.0/weight": rng.normal(0, 0.1, (3, 64)).astype(np.float32),
        "head.0/bias": np.full(3, 500_000, np.float32),
    }
    backbone = {"backbone": {"name": "identity"}}
    scale = {"mean": 3.0, "std": 7.0}
    model.import_version(pack(tensors), architecture=backbone, classes=classes, scale=scale, promote=True)
    done = export_version(model, 1, tmp_path / "out")
    assert done.difference < ROUNDINGS * 500_100


def card_parts(exported: Path) -> list[dict[str, Any]]:
    """What each of the card's parts in Python leaves, run by itself."""
    parts = []
    for part in (exported / "README.md").read_text().split("```python\n")[1:]:
        scope: dict[str, Any] = {}
        exec(part.split("```")[0].replace('"program.', f'"{exported}/program.'), scope)
        parts.append(scope)
    return parts


def run_card(exported: Path) -> tuple[Any, ...]:
    """Names and answers by the commands that the card gives: for somebody who has torch alone, then for onnxruntime."""
    ran = [scope for scope in card_parts(exported) if "answers" in scope]
    assert all(scope["names"] == ran[0]["names"] for scope in ran)
    return ran[0]["names"], *(np.asarray(scope["answers"]) for scope in ran)


@pytest.mark.long
def test_card_codes_cells_as_the_service_does(client: Client, tmp_path: Path) -> None:
    model = table(client, "leaves-cells")
    code, ran = card_parts(export_version(model, "live", tmp_path / "out").folder)
    rest = {"size": " small", "rooms": 3, "built": "2015-03-11T23:30+09:00", "balcony": True}
    built = datetime(2015, 3, 11, 23, 30, tzinfo=UTC).timestamp()
    cities = ["Kyōto", unicodedata.normalize("NFD", "Kyōto"), "Kyōto ", "\u3000"]
    cells = [[code["code"](city), code["code"](" small"), 3.0, built, 1.0] for city in cities]
    answers = ran["program"](torch.tensor(cells, dtype=torch.float64))[:, 0].tolist()
    assert answers == pytest.approx(model.predict([{"city": city, **rest} for city in cities]).values, rel=folder.CLOSE)
    assert answers[0] == answers[1] == answers[2] > 1.01 * answers[3]


def test_card_says_what_it_is_and_escapes_names(of_classes: RemoteModel, tmp_path: Path) -> None:
    card = (export_version(of_classes, "live", tmp_path / "out").folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: tsuika\npipeline_tag: tabular-classification\n")
    assert "It predicts one of 3 classes: `in`, `` o`u|t ``, `on`." in card
    assert "| `` o`u\\|t `` |" in card
    assert re.search(
        r"No version came before it\.\n\n\| source .*\n.*\n\| not named \| 1 \| \d+ \| \d{4}-\d\d-\d\d \|", card
    )
    assert "Live: version 1. It knows in, o\\`u\\|t and on" in card
    assert re.search(r"Right on \d+\.\d% of \d+ rows that it had not learned\.\nAlways saying `.+ is right on \d", card)
    assert json.dumps(["in", "o`u|t", "on"]) in card


def test_weights_come_back_in(client: Client, of_classes: RemoteModel, tmp_path: Path) -> None:
    done = export_version(of_classes, 1, tmp_path / "out")
    other = client.create_model("leaves-back", {"kind": "vector", "size": 5})
    other.import_version((done.folder / "weights.safetensors").read_bytes(), promote=True)
    rows = [[0.1, 101.0, 0.0, 0.5, 1.0], [1.5, 90.0, 0.1, 2.0, -1.0]]
    assert alike(other.predict(rows, top=3).predictions, of_classes.predict(rows, top=3).predictions)


def test_weights_make_the_model_that_they_are_of(
    client: Client, of_classes: RemoteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = of_classes.weights(1)
    made = client.model("leaves-made").import_version(weights, promote=True)
    assert (made.number, client.model("leaves-made").info().input) == (1, of_classes.info().input)
    assert "New model leaves-made, for inputs of kind vector, as the file says." in capsys.readouterr().err
    nobody = client.model("leaves-nobody")
    with pytest.raises(NotFound, match=r'Make it first, .*: client.create_model\("leaves-nobody"'):
        nobody.import_version(b"no such file")
    size = int.from_bytes(weights[:8], "little")
    with pytest.raises(InvalidContent):
        nobody.import_version(weights[: size + 8])  # without its tensors
    with pytest.raises(NotFound):
        nobody.info()


def test_columns_keep_their_names_on_the_way_out_and_in(client: Client, tmp_path: Path) -> None:
    rows, names = np.random.default_rng(9).normal(size=(60, 3)).round(3), ["b", "a|`", "=1+1"]
    model = client.create_model("leaves-named", {"kind": "vector", "size": 3, "names": names})
    model.update(rows.tolist(), ["up" if row[1] > 0 else "down" for row in rows], new_classes="allow")
    out = export_version(model, "live", tmp_path / "out").folder
    assert "The columns of a row: `b`, `` a|` ``, `=1+1`." in (out / "README.md").read_text()
    asked = [dict(zip(reversed(names), row[::-1], strict=True)) for row in rows[:4].tolist()]
    [ran] = [scope for scope in card_parts(out) if "answers" in scope]
    answers = ran["program"](torch.tensor(rows[:4], dtype=torch.float32)).detach().numpy()
    said = model.predict_proba(asked)
    assert np.allclose(answers, said.values[:, [*map(said.classes.index, ran["names"])]], atol=folder.CLOSE)
    weights = (out / "weights.safetensors").read_bytes()
    again = client.create_model("leaves-named-back", {"kind": "vector", "size": 3, "names": names})
    again.import_version(weights, promote=True)
    assert alike(again.predict(asked, top=2).predictions, model.predict(asked, top=2).predictions)
    other = client.create_model("leaves-named-mixed", {"kind": "vector", "size": 3, "names": names[::-1]})
    with pytest.raises(InvalidContent, match="columns of the file's vector are not those of this model"):
        other.import_version(weights)


def test_folder_with_files_is_left_alone(of_classes: RemoteModel, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(FileExistsError, match="has files in it"):
        export_version(of_classes, 1, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_program_that_answers_otherwise_is_not_written(
    of_classes: RemoteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "answers", lambda graph, rows: np.full((len(rows), 3), 1 / 3))
    with pytest.raises(ProgramDiffers, match="Nothing was written"):
        export_version(of_classes, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_random_convolutions_take_any_number_of_rows() -> None:
    lift = make_lift("conv", (1, 16, 16))
    rows = torch.rand(40, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        graph = torch.export.export(lift, (rows[:2],), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
        assert torch.allclose(graph(rows), lift(rows), atol=1e-5)


def test_export_that_cannot_be_finished_leaves_nothing(
    of_classes: RemoteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(graph: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(OSError, match="No space left"):
        export_version(of_classes, 1, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_second_of_two_exports_at_once_says_that_the_folder_is_taken(
    of_classes: RemoteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.export.save

    def overtaken(graph: Any, path: Path) -> None:
        save(graph, path)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "program.pt2").write_bytes(b"of the first")

    monkeypatch.setattr(torch.export, "save", overtaken)
    with pytest.raises(FileExistsError, match="out has files in it"):
        export_version(of_classes, 1, tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "program.pt2"]


@pytest.mark.long
def test_export_that_is_killed_leaves_no_folder_of_that_name(
    of_classes: RemoteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[bool]()
    save = torch.export.save

    def looked(graph: Any, path: Path) -> None:
        save(graph, path)
        seen.append(path.parent.name.startswith("."))

    monkeypatch.setattr(torch.export, "save", looked)
    export_version(of_classes, 1, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    export_version(of_classes, 1, tmp_path / "empty")
    assert seen == [True, True]
    assert {path.name: len(list(path.iterdir())) for path in tmp_path.iterdir()} == {"out": 3, "empty": 3}


KILLED_AMID = """
import os, signal, torch.export
save = torch.export.save
torch.export.save = lambda graph, path: (save(graph, path), os.kill(os.getpid(), signal.SIGKILL))
from service.cli import main
main()
"""
"""A program that is `tsuika`, and is killed as soon as an export has written its largest file."""


@pytest.mark.long
def test_after_a_kill_amid_an_export_the_name_is_free_and_the_next_one_deletes_what_was_left(
    client: Client, service_url: str, tmp_path: Path
) -> None:
    classes(client, "leaves-amid")
    variables = environment(url=service_url, key=KEY)
    export = ["export", "leaves-amid", "--output", str(tmp_path / "out")]
    killed = subprocess.run([sys.executable, "-c", KILLED_AMID, *export], cwd=ROOT, env=variables, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [left] = tmp_path.iterdir()
    assert left.name.startswith(".out.")
    subprocess.run([sys.executable, "-m", "service.cli", *export], cwd=ROOT, env=variables, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert run_card(tmp_path / "out")[0] == ["in", "o`u|t", "on"]


@pytest.mark.long
def test_an_export_deletes_what_a_killed_one_of_its_name_left_and_nothing_that_somebody_writes(
    of_classes: RemoteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, stayed = torch.export.save, list[bool]()
    left, foreign = tmp_path / f".o[u]t.{uuid4().hex}", [f".out.{uuid4().hex}", ".o[u]t.notes", f"o[u]t.{uuid4().hex}"]
    for name in (left.name, *foreign):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(b"half")

    def another_begins(graph: Any, path: Path) -> None:
        monkeypatch.setattr(torch.export, "save", save)
        export_version(of_classes, 1, tmp_path / "o[u]t")
        stayed.append(path.parent.exists())
        save(graph, path)

    monkeypatch.setattr(torch.export, "save", another_begins)
    with pytest.raises(FileExistsError, match="has files in it"):
        export_version(of_classes, 1, tmp_path / "o[u]t")
    assert stayed == [True]
    assert {path.name for path in tmp_path.iterdir()} == {"o[u]t", *foreign}


def test_program_that_answers_with_no_number_differs() -> None:
    shares = [SimpleNamespace(class_=name, score=0.5) for name in ("a", "b")]
    answer: Any = SimpleNamespace(predictions=[SimpleNamespace(top=shares)])
    layout: Any = SimpleNamespace(outputs=["a", "b"], temperature=1.0)
    assert np.isnan(ClassKind(layout).difference(answer, np.array([[0.5, np.nan]])))


def test_rows_to_compare_are_such_as_the_service_takes() -> None:
    table = TypeAdapter[Any](TableInput).validate_python(
        {"kind": "table", "columns": [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}]}
    )
    scale = {"mean": torch.zeros(2), "std": torch.ones(2)}
    layout = SimpleNamespace(input=table)
    rows, _ = sample_rows(cast(Any, SimpleNamespace(layout=layout, parts={"scale": scale})), due=1)
    assert any(row["a"] is None for row in rows)
    assert all(row["b"] is not None for row in rows)
    image = ImageInput(kind="image", channels=3, height=512, width=512)
    scale = {"mean": torch.tensor(127.5), "std": torch.tensor(127.5)}
    layout = SimpleNamespace(input=image)
    pixels, _ = sample_rows(cast(Any, SimpleNamespace(layout=layout, parts={"scale": scale})))
    assert pixels.nbytes < 2**26


def test_the_page_is_as_it_says(
    client: Client, service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wine = client.create_model("wine", {"kind": "vector", "size": 13, "scale": {"range": [-1, 1]}})
    rows = np.random.default_rng(4).uniform(-1, 1, (40, 13))
    wine.update(rows.tolist(), [("barolo", "grignolino")[int(row[0] > 0)] for row in rows])
    monkeypatch.setenv("TSUIKA_URL", service_url)
    monkeypatch.setenv("TSUIKA_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for part in (ROOT / "docs/exporting.md").read_text().split("```python\n")[1:]:
        exec(part.split("```")[0], scope)
    assert scope["answers"].shape == (1, 2)
    assert scope["done"].version == 1


def test_the_card_says_what_its_figures_are_of() -> None:
    nobody: Any = None
    tested = {"mae": 4.0, "rmse": 5, "r2": None, "coverage": None, "rows": 400, "batches": 2}
    of = {"before": None, "after": None, "rise": None, "batch": {}, **{n: REPORT[n] for n in ("cost", "gate", "exact")}}
    yardsticks = {"mean": {"mae": 10.0, "rmse": 12.0}}
    numbers = NumberReport.model_validate({**of, "tested": tested, "skill": 0.6, "yardsticks": yardsticks})
    said = [*NumberCard.quality(nobody, numbers)]
    assert said[-1] == "On the same rows always saying the mean of all targets is off by 10 on average."
    worse = NumberReport.model_validate({**of, "tested": tested, "skill": -0.5})
    assert "50.0% above that of the model's yardstick" in [*NumberCard.quality(nobody, worse)][-1]
