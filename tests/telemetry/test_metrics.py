"""Figures and their text, read by the client of Prometheus."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families as read

from service.telemetry import metrics, process, requests
from service.telemetry.metrics import OTHER, Counter, Family, Histogram, NamedModels, Sample, gauge, text_of


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[Counter | Histogram]:
    """No counters besides those of the test, and no model that is named yet."""
    fresh: list[Counter | Histogram] = []
    monkeypatch.setattr(metrics, "_counting", fresh)
    monkeypatch.setattr(metrics, "NAMED", NamedModels(2))
    return fresh


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(s.name, frozenset(s.labels.items())): s.value for family in read(text) for s in family.samples}


def test_counters_are_read_as_they_were_counted(counting: list[Counter | Histogram]) -> None:
    errors, total = Counter("errors_total", "Errors.", ["reason"]), Counter("losses_total", "Losses.")
    errors.add("busy")
    errors.add("busy", by=2)
    errors.add('a "quote", a \\ and\nan end of line')
    read_back = values(text_of(metrics.counted()))
    assert read_back["errors_total", frozenset({("reason", "busy")})] == 3
    assert read_back["errors_total", frozenset({("reason", 'a "quote", a \\ and\nan end of line')})] == 1
    assert read_back["losses_total", frozenset()] == 0
    total.add()
    assert values(text_of([total.family()])) == {("losses_total", frozenset()): 1.0}


def test_buckets_of_a_histogram_hold_all_values_up_to_their_bounds(counting: list[Counter | Histogram]) -> None:
    seconds = Histogram("seconds", "Time.", ["of"], bounds=(0.1, 1.0, 10.0))
    for value in (0.05, 0.1, 0.5, 20.0):
        seconds.observe(value, "put")
    read_back = values(text_of([seconds.family()]))
    buckets = {dict(labels)["le"]: n for (name, labels), n in read_back.items() if name == "seconds_bucket"}
    assert buckets == {"0.1": 2, "1": 3, "10": 3, "+Inf": 4}
    assert read_back["seconds_count", frozenset({("of", "put")})] == 4
    assert read_back["seconds_sum", frozenset({("of", "put")})] == pytest.approx(20.65)


def test_models_beyond_the_limit_are_counted_together(counting: list[Counter | Histogram]) -> None:
    updates = Counter("updates_total", "Updates.", ["model", "verdict"])
    for name in ("a", "b", "c", "d", "a"):
        updates.add(name, "promoted")
    counts = {dict(s.labels)["model"]: s.value for s in updates.family().samples}
    assert counts == {"a": 2, "b": 1, OTHER: 2}


def test_a_caller_of_some_models_sees_their_figures_alone() -> None:
    families = [
        gauge("open", "Requests.", 3),
        Family("live", "gauge", "Versions.", [Sample((("model", m),), 1) for m in ("mine", "theirs", OTHER)]),
        Family("accuracy", "gauge", "Theirs.", [Sample((("model", "theirs"),), 1)]),
    ]
    shown = values(text_of(metrics.of_models(families, {"mine"}.__contains__)))
    assert shown == {("live", frozenset({("model", "mine")})): 1}


def test_requests_are_counted_by_route_status_and_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_routes", {})
    figures = requests.of_route("GET", "/v1/models/{model}")
    assert requests.of_route("GET", "/v1/models/{model}") is figures
    for status, seconds in ((200, 0.002), (200, 0.2), (404, 0.002)):
        figures.add(status, seconds)
    read_back = values(text_of(requests.families()))
    route = {("method", "GET"), ("route", "/v1/models/{model}")}
    assert read_back["tsuika_requests_total", frozenset({*route, ("status", "200")})] == 2
    assert read_back["tsuika_request_duration_seconds_bucket", frozenset({*route, ("le", "0.003")})] == 2
    assert read_back["tsuika_request_duration_seconds_count", frozenset(route)] == 3


def test_the_process_says_what_it_takes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    figures = {f.name: f.samples[0].value for f in process.families(folder)}
    assert figures["process_resident_memory_bytes"] > 1e6
    assert figures["process_open_fds"] >= 3
    assert 0 < figures["tsuika_disk_free_bytes"] <= figures["tsuika_disk_size_bytes"]
    assert "tsuika_disk_free_bytes" not in {f.name for f in process.families(folder / "gone")}
