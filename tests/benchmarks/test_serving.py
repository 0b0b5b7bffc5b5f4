"""The pieces of the serving benchmark, against our own server: the same network, the same row, and what it takes."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from benchmarks import serving
from benchmarks.servers import load
from benchmarks.servers.contenders import CONTENDERS, DOORS, KEY
from benchmarks.servers.faults import BODIES, CHANGES, described
from benchmarks.servers.network import SHAPES, build, row
from benchmarks.servers.ours import SETTINGS, exported, fill, input_of, one_core_each, until_ready
from benchmarks.servers.report import Measurements, report
from benchmarks.servers.running import Place, Running, started
from benchmarks.servers.table_cost import LIST, OBJECT, VECTOR, TableCost, learned
from service.api.bodies.version_upload import read_import
from service.contract.inputs import InputSpec
from service.serving.predictor import Predictor


@pytest.mark.long
def test_every_door_answers_as_the_network_does_and_refuses_bad_input(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "venvs", "m1", one_core_each())
    with started(CONTENDERS["ours"], place, **SETTINGS, TSUIKA_DATA=str(tmp_path / "data")) as server:
        until_ready(server)
        fill(server, models=1, versions=1)
        for door in DOORS:
            running = Running(door, place, server.process, int(server.url.rpartition(":")[2]))
            assert running.right(), door.name
            refused = [described(running.ask(body=body)) for body in BODIES.values()]
            if door.media == "application/json":
                refused += [described(running.ask(changed=change(running.row))) for change in CHANGES.values()]
            assert all(word.startswith("4") and word.isdigit() for word in refused), (door.name, refused)


@pytest.mark.long
def test_rows_of_a_table_and_vectors_are_asked_of_models_that_learned_as_many_rows(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "venvs", "m1", one_core_each())
    settings = {"TSUIKA_KEY": KEY, "TSUIKA_WORKER": "true", "TSUIKA_DATA": str(tmp_path / "data")}
    with started(CONTENDERS["ours"], place, **settings) as server:
        until_ready(server)
        answers = {
            name: httpx.post(server.url + asked.path, content=asked.body, headers=asked.headers, timeout=60).json()[
                "predictions"
            ]
            for name, asked in learned(server)
        }
    assert list(answers) == [VECTOR, OBJECT, LIST]
    assert answers[OBJECT] == answers[LIST]


@pytest.mark.parametrize("network", SHAPES)
def test_the_imported_network_is_the_one_that_peers_serve(network: str) -> None:
    spec: InputSpec = TypeAdapter(InputSpec).validate_python(input_of(network))
    version = read_import(exported(network, seed=0), "application/octet-stream", spec, {})
    rows = torch.tensor([row(network)])
    with torch.inference_mode():
        expected = torch.softmax(build(network)(rows), 1).numpy()
    assert np.allclose(Predictor(version).answer(rows.numpy()).values, expected, atol=1e-6)


def test_without_h2load_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert serving.main(["--targets", "ours"]) == 2
    assert "apt-get install nghttp2-client" in capsys.readouterr().err


def test_who_cannot_be_installed_is_absent_and_the_others_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "prepare", lambda *given: {})
    monkeypatch.setattr(sys, "executable", "false")
    arguments = serving._arguments(["--targets", "mlserver,litserve", "--rounds", "2"])
    absent = serving.run(arguments, Place(tmp_path, tmp_path / "venvs", "m1", one_core_each())).absent
    assert list(absent) == ["mlserver", "litserve"]
    assert all("cannot be installed" in why for why in absent.values())


def test_who_does_not_answer_in_time_is_absent() -> None:
    def ask() -> None:
        raise httpx.ReadTimeout("")

    measurements = Measurements("m1")
    serving._try(measurements, "tables", ask)
    assert measurements.absent == {"tables": "ReadTimeout('')"}


def test_percentiles_are_those_of_the_requests_that_were_answered_well() -> None:
    """100 good answers in two seconds, three of the first second late, and a refusal that took longest of all."""
    took = [9000, 8000, 7000, *range(1, 98)]
    lines = [f"{20_000 * k}\t200\t{us}" for k, us in enumerate(took)]
    measured = load.read("\n".join([*lines, "1999999\t503\t99000"]), seconds=2, broken=2)
    assert (measured.requests, measured.rate, measured.refused, measured.failed) == (100, 50, 1, 3)
    assert (measured.p50, measured.p99, measured.longest) == (0.05, 8.0, 9.0)
    assert measured.settled == 0.096


def test_a_load_without_a_good_answer_is_told_as_one() -> None:
    measured = load.read("1\t503\t20\n2\t503\t30\n", seconds=1, broken=1)
    assert (measured.requests, measured.rate, measured.failed) == (0, 0, 3)
    assert np.isnan([measured.p50, measured.p99, measured.settled, measured.longest]).all()


def test_broken_connections_are_what_h2load_calls_errors() -> None:
    counts = "requests: 900 total, 964 started, 900 done, 870 succeeded, 42 failed, 12 errored, 0 timeout\n"
    match = load.ERRORS.search(f"finished in 2.00s\n{counts}status codes: 870 2xx")
    assert match[1] == "12"


def test_ratios_are_medians_of_what_one_round_gives() -> None:
    def rounds(rates: list[float]) -> list[dict[str, float]]:
        return [
            {"rate": r, "p99": 100 / r, **dict.fromkeys(("p50", "settled", "core_ms", "pss", "failed"), 1)}
            for r in rates
        ]

    measurements = Measurements("m1", {("mlserver", 8): rounds([100, 200, 50]), ("ours", 8): rounds([500, 600, 100])})
    assert measurements.ratio("rate", "ours", ("mlserver",), 8) == 3
    assert measurements.ratio("rate", "ours", ("litserve", "bentoml", "mlflow"), 8) is None
    measurements.tables = [TableCost(8, {VECTOR: vector, LIST: cost}) for vector, cost in ((1, 3), (2, 3), (2, 4))]
    text = "\n".join(report(measurements))
    assert [line.split()[-1] for line in text.splitlines() if "(1.00)" in line] == ["(2.00)"]
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("ours ")] == [["ours", "3.00"]]
