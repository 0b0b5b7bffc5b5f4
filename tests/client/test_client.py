"""The client against a transport that answers as the contract says."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import service.client
import tsuika
from service.cli.progress import stage
from service.client import (
    AsyncClient,
    Busy,
    Client,
    ClientError,
    Conflict,
    Erased,
    Forbidden,
    InvalidContent,
    LiveMoved,
    NotFound,
    NotLive,
    Refused,
    StillRunning,
    UnknownLabels,
    Unreachable,
)
from service.client.rows.guess import guess
from service.client.rows.guessed import Guess
from service.client.rows.values import find_not_finite, not_finite, numpy_file, plain, plain_labels
from service.client.waiting import doing
from service.contract.number_policy import NumberPolicy
from service.contract.resources import EpochLosses, Progress, Update
from service.intake.formats.multipart import read_parts
from service.remedies import PROMOTE, ROLL_BACK

Answer = httpx.Response | Exception
NOW = "2026-01-02T03:04:05Z"


class Door(httpx.BaseTransport):
    """Answers from a list, in order, and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers: Iterator[Answer] = iter(answers)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def body(self, n: int = 0) -> Any:
        return json.loads(self.requests[n].content)


async def at_once(seconds: float) -> None:
    """In place of a pause."""


def client(door: Door, key: str | None = None) -> Client:
    made = Client("http://service", key, transport=door)
    made._core.transport.pause = at_once
    return made


def ok(content: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=content)


def problem(status: int, slug: str, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    body = {"type": f"/problems/{slug}", "title": "T", "status": status, "detail": "D", "request_id": "r1", **members}
    return httpx.Response(status, json=body, headers=headers)


def an_update(state: str = "queued", **members: Any) -> dict[str, Any]:
    names = "method requested_method why base_version version verdict report progress learned_rows exam_rows error"
    empty = dict.fromkeys([*names.split(), "started_at", "finished_at"])
    known = {"id": "upd_1", "model": "digits", "kind": "learn", "state": state, "batches": [], "attempts": 0, "seed": 0}
    return {**empty, **known, "created_at": NOW, **members}


def a_model(**members: Any) -> dict[str, Any]:
    return {
        "name": "digits",
        "input": {"kind": "vector", "size": 64},
        "architecture": {"backbone": {"name": "identity"}},
        "classes": [],
        "live_version": None,
        "serving_version": None,
        "method": {"name": "auto"},
        "gate": {},
        "promotion": "auto",
        "retention": "all",
        "pending": {"batches": 0, "rows": 0, "stopped": 0, "refuted": 0},
        "updates": {"queued": 0, "running": 0},
        "created_at": NOW,
        **members,
    }


def test_the_package_exports_exactly_the_client() -> None:
    assert tsuika.__all__ == sorted(tsuika.__all__) == service.client.__all__
    assert all(hasattr(tsuika, name) for name in tsuika.__all__)


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSUIKA_URL", "http://elsewhere:9000/")
    monkeypatch.setenv("TSUIKA_KEY", "secret")
    door = Door(ok({"items": []}))
    with Client(transport=door) as made:
        assert made.methods() == []
    assert str(door.requests[0].url) == "http://elsewhere:9000/v1/methods"
    assert door.requests[0].headers["authorization"] == "Bearer secret"


def test_create_then_learn_sends_what_the_contract_names() -> None:
    done = an_update("succeeded", verdict="promoted", version=1)
    door = Door(ok(a_model(), 201), ok(done))
    digits = client(door).create_model("digits", {"kind": "vector", "size": 2}, promotion="manual")
    update = digits.update(np.zeros((1, 2), np.float32), np.array([4]), new_classes="allow", method="ridge")
    assert door.body(0) == {"name": "digits", "input": {"kind": "vector", "size": 2}, "promotion": "manual"}
    assert door.requests[1].url.path == "/v1/models/digits/updates"
    assert dict(door.requests[1].url.params) == {"wait": "30.0"}
    assert door.body(1) == {
        "inputs": [[0.0, 0.0]],
        "labels": [4],
        "new_classes": "allow",
        "method": {"name": "ridge"},
    }
    assert (update.verdict, update.version) == ("promoted", 1)


def test_a_likely_slip_among_first_labels_is_asked_about_before_anything_is_made() -> None:
    door = Door(problem(404, "not-found"))
    labels = ["premium"] * 40 + ["premum"]
    with pytest.raises(
        UnknownLabels, match=r'"premum" \(row 40, counted from 0\).*Nothing was sent.*new_classes="allow"'
    ) as refused:
        client(door).model("digits").push([[1.5]] * 41, labels)
    assert refused.value.near == {"premum": ["premium"]}
    assert [request.method for request in door.requests] == ["GET"]
    meant = Door(problem(404, "not-found"), problem(403, "forbidden"))
    with pytest.raises(Forbidden):
        client(meant).model("digits").push([[1.5]] * 41, labels, new_classes="allow")
    assert meant.requests[1].url.path == "/v1/models"


def test_groups_travel_with_rows_and_what_is_missing_in_a_frame_is_in_none() -> None:
    door = Door(ok(an_update(), 202), problem(422, "invalid-content"))
    digits = client(door).model("digits")
    digits.update([[1], [2]], ["a", "b"], groups=np.array(["video 7", float("nan")], object), wait=None)
    assert door.body(0) == {"inputs": [[1], [2]], "labels": ["a", "b"], "groups": ["video 7", None]}
    with pytest.raises(InvalidContent):
        digits.add_batch([[1]], ["a"], groups="video 7")
    assert door.body(1)["groups"] == "video 7"


def test_waiting_tells_of_progress_and_ends_when_the_version_is_served() -> None:
    running = an_update("running", progress={"phase": "learning", "done": 1, "total": 2})
    done = an_update("succeeded", verdict="promoted", version=2)
    behind, level = a_model(live_version=2, serving_version=1), a_model(live_version=2, serving_version=2)
    door = Door(ok(an_update(), 202), ok(running), ok(done), ok(behind), ok(level))
    seen: list[str] = []
    update = client(door).model("digits").update(batches="pending", on_progress=lambda u: seen.append(u.state))
    assert update.version == 2
    assert seen == ["queued", "running"]
    assert len(door.requests) == 5


def test_a_bar_shows_the_latest_loss_and_nothing_where_there_is_none() -> None:
    epochs = [EpochLosses(epoch=k, training=0.6398 / k, kept_back=None) for k in (1, 3)]
    training = Progress(phase="training", done=3, total=9, losses=epochs)
    assert doing(training) == "training, loss 0.213"
    assert doing(Progress(phase="solving", done=1, total=3)) == "solving"
    update = Update.model_validate(an_update("running", progress=training.model_dump(), method={"name": "der"}))
    assert stage(update) == ("Learning", 3, 9, "der, training, loss 0.213")


def test_waiting_ends_with_the_callers_patience() -> None:
    with pytest.raises(StillRunning, match="upd_1 is queued"):
        client(Door(ok(an_update(), 202), ok(an_update()))).model("digits").update(batches=["bat_1"], wait=0)


def test_a_broken_connection_is_tried_again_under_the_same_idempotency_key() -> None:
    door = Door(httpx.ConnectError("refused"), httpx.ReadError("cut"), ok(an_update("succeeded")))
    client(door).model("digits").retract("bat_1", "wrong labels")
    keys = {request.headers["idempotency-key"] for request in door.requests}
    assert len(door.requests) == 3
    assert len(keys) == 1
    assert door.body(2) == {"batches": ["bat_1"], "reason": "wrong labels", "erase": False}


def test_a_broken_connection_is_tried_again_with_coroutines_too() -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.ReadError("cut")
        return problem(409, "live-moved", live_version=3)

    async def work() -> None:
        async with AsyncClient("http://service", transport=httpx.MockTransport(answer)) as made:
            made.transport.pause = at_once
            assert repr(made.model("digits").at(3)) == "AsyncModel('digits@3' at http://service)"
            await made.model("digits").rollback()

    with pytest.raises(LiveMoved):
        asyncio.run(work())
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_nobody_there_is_said_with_the_address() -> None:
    with pytest.raises(Unreachable, match=r"http://service.*tsuika serve"):
        client(Door(*[httpx.ConnectError("refused")] * 4)).methods()


def test_a_busy_service_is_asked_again_and_a_conflict_is_not() -> None:
    door = Door(problem(503, "busy", {"Retry-After": "1"}), ok({"items": []}))
    assert client(door).methods() == []
    door = Door(problem(409, "conflict"))
    with pytest.raises(Conflict):
        client(door).model("digits").rollback()
    assert len(door.requests) == 1


def test_a_rollback_that_is_refused_names_the_call() -> None:
    for way, call in (
        (ROLL_BACK(model="digits", version=2), 'To do it, client.model("digits").rollback(to=2).'),
        (PROMOTE(model="digits", version=3), 'To do it, client.model("digits").promote(3).'),
    ):
        said = f"It was taken back. To do it, {way}."
        with pytest.raises(Conflict) as caught:
            client(Door(problem(409, "conflict", detail=said))).model("digits").rollback()
        assert str(caught.value).endswith(call)
        assert caught.value.detail == said, "as the service says it"


def test_unknown_labels_that_are_not_listed_are_counted() -> None:
    with pytest.raises(UnknownLabels) as caught:
        client(Door(problem(422, "unknown-labels", unknown=["sevn"], more=12))).model("digits").update([[1]], ["sevn"])
    assert (caught.value.unknown, caught.value.more) == (["sevn"], 12)


def test_a_service_that_starts_is_waited_for_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def starts() -> httpx.Response:
        return problem(503, "busy", {"Retry-After": "1"}, waiting_for="the database")

    assert client(Door(*(starts() for _ in range(20)), ok({"items": []}))).methods() == []
    assert capsys.readouterr().err == "", "nobody looks on"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert client(Door(starts(), starts(), ok({"items": []}))).methods() == []
    assert capsys.readouterr().err == "D It is asked again, for 60 s at most.\n"
    monkeypatch.setattr("service.client.transport.STARTING_SECONDS", 0.0)
    with pytest.raises(Busy):
        client(Door(starts())).methods()


def test_refusals_are_typed() -> None:
    for answer, kind in [
        (lambda: problem(422, "unknown-labels"), UnknownLabels),
        (lambda: problem(422, "invalid-content"), InvalidContent),
        (lambda: problem(404, "not-found"), NotFound),
        (lambda: problem(410, "erased"), Erased),
        (lambda: problem(409, "not-live"), NotLive),
        (lambda: problem(409, "live-moved", live_version=3), LiveMoved),
        (lambda: problem(418, "teapot"), Refused),
    ]:
        with pytest.raises(kind) as caught:
            client(Door(answer())).model("digits").predict([[1]])
        assert type(caught.value) is kind, answer
        assert (caught.value.detail, caught.value.request_id) == ("D", "r1"), answer


def test_a_refusal_says_where() -> None:
    errors = [{"pointer": "/labels/7", "detail": 'near: "7"'}]
    with pytest.raises(UnknownLabels, match=r'/labels/7: near: "7"') as caught:
        client(Door(problem(422, "unknown-labels", errors=errors))).model("digits").update([[1]], ["sevn"])
    assert caught.value.errors[0].pointer == "/labels/7"


def test_an_old_view_of_what_is_live_is_told_the_new_one() -> None:
    with pytest.raises(LiveMoved) as caught:
        client(Door(problem(409, "live-moved", live_version=3))).model("digits").promote(2, if_live=1)
    assert caught.value.live_version == 3


def test_an_answer_of_somebody_in_between_is_a_refusal_too() -> None:
    with pytest.raises(Refused, match="502: bad gateway"):
        client(Door(httpx.Response(502, text="bad gateway"))).methods()


def test_what_is_no_key_is_refused_and_not_said() -> None:
    for key in ["secret\n", "sécret", "sec ret", "sec\0ret"]:
        with pytest.raises(ClientError, match="line break") as refused:
            Client("http://service", key)
        assert "ret" not in str(refused.value), key


def test_what_is_no_address_is_told_with_one_that_is() -> None:
    for url in ["service:8000", "http://[::1", "http://host:port", "ftp://service", "http://", "  "]:
        with pytest.raises(ClientError, match=r"http://127\.0\.0\.1:8000"):
            Client(url)


def test_who_signs_in_by_the_address_is_named_nowhere() -> None:
    door = Door(httpx.Response(502, text="bad gateway"), *[httpx.ConnectError("refused")] * 4)
    made = Client("http://reader:hidden@service/", transport=door)
    made._core.transport.pause = at_once
    said = [repr(made), repr(made.model("digits")), made.url]
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            made.methods()
        said.append(str(refused.value))
    assert door.requests[0].headers["authorization"] == f"Basic {base64.b64encode(b'reader:hidden').decode()}"
    assert all("http://service" in text or "'service'" in text for text in said)
    assert "hidden" not in "".join(said)


def test_an_answer_of_another_kind_is_told_with_the_address() -> None:
    for answer in (httpx.Response(200, text="<html>"), ok({"items": [{"name": 3}]})):
        with pytest.raises(ClientError, match=r"http://service.*GET /v1/methods.*Is that the address of a service"):
            client(Door(answer)).methods()


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_stands_for_another_path_is_not_sent(name: str) -> None:
    door = Door()
    for call in (
        client(door).model(name).info,
        client(door).model("digits").at(name).version,
        client(door).model(name).archive,
    ):
        with pytest.raises(ClientError, match="names nothing"):
            call()
    assert door.requests == []


def test_the_id_of_an_update_is_one_part_of_the_path() -> None:
    door = Door(*(problem(404, "not-found") for _ in range(3)))
    for call in (client(door).update, client(door).cancel, client(door).retry):
        with pytest.raises(NotFound):
            call("upd_1?/x")
    paths = [request.url.raw_path for request in door.requests]
    assert paths == [b"/v1/updates/upd_1%3F%2Fx" + what for what in (b"", b"/cancel", b"/retry")]


def test_lists_are_read_page_by_page() -> None:
    batch = {
        "id": "bat_1",
        "model": "digits",
        "rows": 1,
        "label_counts": {"4": 1},
        "digest": "d",
        "source": None,
        "state": "pending",
        "in_live": False,
        "updates": [],
        "received_at": NOW,
        "retracted_at": None,
        "erased_at": None,
    }
    door = Door(ok({"items": [batch], "next_cursor": "c"}), ok({"items": [batch], "next_cursor": None}))
    assert len(list(client(door).model("digits").batches(source="shop"))) == 2
    assert dict(door.requests[1].url.params) == {"cursor": "c", "source": "shop"}


def test_suspects_of_all_pages_are_one_list() -> None:
    row = {"batch": "bat_a", "row": 0, "label": "a", "suggested": "b", "score": 0.9}
    page = {"items": [row], "next_cursor": "c", "version": 2, "note": "n"}
    door = Door(ok(page), ok({**page, "items": [{**row, "row": 7}], "next_cursor": None}))
    suspects = client(door).model("digits").suspects("bat_a")
    assert [one.row for one in suspects] == [0, 7]
    assert (suspects.version, suspects.note) == (2, "n")
    assert [dict(asked.url.params) for asked in door.requests] == [{}, {"cursor": "c"}]


NUMBERS = {"target": {"kind": "number"}, "gate": NumberPolicy().model_dump(mode="json")}


@pytest.mark.parametrize(
    ("labels", "sent"),
    [
        ([512.3, 498], [512.3, 498]),
        (np.array([1, 2]), [1, 2]),
        (np.array([[1.5], [np.nan]]), [[1.5], None]),
        ([[1, 2], (None, None), [3, None]], [[1, 2], None, [3, None]]),
        ([None, None], [None, None]),
    ],
)
def test_numbers_are_targets_of_a_model_that_predicts_numbers(labels: Any, sent: Any) -> None:
    door = Door(ok(a_model(**NUMBERS)), ok(an_update("succeeded")), ok(an_update("succeeded")))
    model = client(door).model("load")
    for _ in range(2):
        model.update([[1], [2]], labels)
    assert [request.method for request in door.requests] == ["GET", "POST", "POST"]
    assert door.body(1) == door.body(2) == {"inputs": [[1], [2]], "targets": sent}


def test_whole_numbers_are_names_of_classes_elsewhere_and_a_new_model_need_not_be_asked() -> None:
    door = Door(ok(a_model(), 201), ok(an_update("succeeded")), ok(an_update("succeeded")))
    model = client(door).create_model("digits", {"kind": "vector", "size": 64})
    model.update([[1], [2]], np.array([4, np.nan]))  # as frames have a whole number beside a gap
    model.update([[1], [2]], ["4", "5"])
    assert [door.body(n)["labels"] for n in (1, 2)] == [[4, None], ["4", "5"]]
    assert isinstance(door.body(1)["labels"][0], int)


def test_a_model_that_predicts_numbers_is_made_and_configured() -> None:
    door = Door(ok(a_model(**NUMBERS), 201), ok(an_update("succeeded")), ok(a_model(**NUMBERS)))
    model = client(door).create_model("load", {"kind": "vector", "size": 3}, target={"kind": "number", "from": 2})
    model.update([[1, 2, 3]], [4])
    made = model.configure(target={"level": 0.8})
    assert door.body()["target"] == {"kind": "number", "from": 2}
    assert door.body(1)["targets"] == [4]
    assert isinstance(made.gate, NumberPolicy)


def test_arrays_travel_as_lists_and_nan_is_refused_before_it_leaves() -> None:
    assert plain([np.array([1, 2]), (3, np.float32(0.5))]) == [[1, 2], [3, 0.5]]
    door = Door()
    lacking, beyond = np.ones((400, 4)), np.ones((400, 4))
    lacking[2, 1], beyond[2, 1] = np.nan, 1e39
    asks = client(door).model("digits")
    for rows in ([[1, 2, 3]] * 2 + [[1, np.nan, 3]], (np.ones(4), np.ones(4), lacking[2]), lacking[:5]):
        with pytest.raises(
            ValueError, match=r"^inputs, row 2, number 1 \(counted from 0\) is NaN. Fill it in, or leave the row out.$"
        ):
            asks.predict(rows)
    with pytest.raises(ValueError, match=r"^inputs, row 0, number 0 \(counted from 0\) is inf, which is not finite"):
        asks.predict([[np.inf]])
    for array, said in ((lacking, "NaN"), (beyond, r"1e\+39, which is not finite as float32")):
        with pytest.raises(ValueError, match=rf"^inputs, row 2, number 1 \(counted from 0\) is {said}"):
            numpy_file(array)
    with pytest.raises(ValueError, match=r'^inputs, row 1 \(counted from 0\), column "fee" is NaN'):
        raise not_finite(*find_not_finite({"inputs": [{"fee": 1.0}, {"fee": np.nan}]}) or ((), 0.0))
    assert door.requests == []


def test_a_name_never_becomes_a_path() -> None:
    door = Door(problem(404, "not-found"))
    with pytest.raises(NotFound):
        client(door).model("../x").info()
    assert door.requests[0].url.raw_path == b"/v1/models/..%2Fx"


def test_texts_files_and_missing_labels_travel() -> None:
    png, jpeg = b"\x89PNG\r\n\x1a\n...", b"\xff\xd8\xff..."
    assert plain(["a text", "another"]) == ["a text", "another"]
    assert plain(np.array(["a", "b"])) == ["a", "b"]
    assert plain([png, bytearray(jpeg), memoryview(png)]) == [
        {"png": base64.b64encode(png).decode()},
        {"jpeg": base64.b64encode(jpeg).decode()},
        {"png": base64.b64encode(png).decode()},
    ]
    assert plain(np.zeros((1, 1, 2, 2), np.uint8)) == [[[[0, 0], [0, 0]]]]
    with pytest.raises(ValueError, match="neither a PNG nor a JPEG"):
        plain([b"GIF89a"])
    assert plain_labels(np.array(["a", None], object)) == ["a", None]
    assert plain_labels([1, float("nan"), "x"]) == [1, None, "x"]
    assert plain_labels(None) is None


def test_a_version_is_sent_with_what_says_what_it_is() -> None:
    version = {
        "number": 3, "model": "m", "parent": None, "update": None, "batches": [], "batch_count": 0, "method": None,
        "classes": ["a"], "parameters": 1, "bytes": 1, "feature_space": None, "shards": [], "architecture": {},
        "report": None, "live": True, "created_at": NOW, "erased_at": None,
    }  # fmt: skip
    door = Door(httpx.ConnectError("broken"), ok(version, 201), ok(version, 201))
    model = client(door).model("m")
    made = model.import_version(b"bytes", architecture={"name": "mlp"}, classes=("a",), promote=True, reason="new")
    assert made.number == 3
    first, again = door.requests[0], door.requests[1]
    assert first.url.query == b"promote=true&reason=new"
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"]
    assert again.content == first.content
    parts = read_parts(first.content, first.headers["content-type"])
    assert parts == {"weights": b"bytes", "architecture": b'{"name": "mlp"}', "classes": b'["a"]'}
    model.import_version(b"bytes")
    assert (
        door.requests[2].url.query,
        read_parts(door.requests[2].content, door.requests[2].headers["content-type"]),
    ) == (
        b"",
        {"weights": b"bytes"},
    )


def test_a_csv_file_is_streamed_and_sent_again(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_bytes(b"a,price\n" + b"1,2\n" * 50_000)
    done = ok(an_update("succeeded"), 202)
    door = Door(httpx.ConnectError("down"), done, ok(an_update("succeeded"), 202))
    rents = client(door).model("rents")
    method = {"name": "ridge", "alpha": 1}
    rents.update(file, target="price", group="house", source="north", method=method, seed=3, wait=None)
    rents.update(str(file), target=["load", "peak"], method="ridge", wait=None)
    first, again, named = door.requests
    for request in (first, again, named):
        assert request.headers["content-type"] == "text/csv"
        assert request.headers["content-length"] == str(file.stat().st_size)
        assert "transfer-encoding" not in request.headers
    assert again.read() == named.read() == file.read_bytes()
    assert again.url.path == "/v1/models/rents/updates"
    expected = {"target": "price", "group": "house", "source": "north", "seed": "3"}
    assert dict(again.url.params) == {**expected, "method": json.dumps(method)}
    assert named.url.params.get_list("target") == ["load", "peak"]


def test_a_csv_file_is_stored_and_predicted_too() -> None:
    answer = {"model": "rents", "version": 1, "level": 0.9, "predictions": [{"value": 2.0, "interval": None}]}
    stored = {"id": "bat_1", "model": "rents", "rows": 1, "label_counts": {}, "digest": "d", "source": None}
    stored |= {"state": "pending", "in_live": False, "updates": [], "received_at": NOW, "retracted_at": None}
    table = a_model(input={"kind": "table", "columns": [{"name": "a", "kind": "number"}]})
    door = Door(ok({**stored, "erased_at": None}, 201), ok(table), ok(answer))
    rents = client(door).model("rents")
    rents.add_batch(b"a,price\n1,2\n", target="price", again=True)
    assert rents.predict(b"a\n1\n", level=0.8).values == [2.0]
    assert dict(door.requests[0].url.params) == {"target": "price", "again": "true"}
    assert dict(door.requests[2].url.params) == {"level": "0.8"}
    assert door.requests[2].read() == b"a\n1\n"


def test_bytes_are_sent_again_as_they_are_under_the_same_key() -> None:
    door = Door(ok(a_model()), httpx.ConnectError("down"), ok(an_update("succeeded"), 202))
    rows = np.arange(1280, dtype=np.float32).reshape(20, 64)
    client(door).model("digits").update(rows, ["a"] * 20, source="shop", method="ridge", wait=None)
    _, first, again = door.requests
    assert first.headers["content-type"] == "application/x-safetensors"
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"]
    assert first.read() == again.read()
    body = json.loads(json.loads(first.read()[8:].partition(b"}}")[0] + b"}}")["__metadata__"]["body"])
    assert body == {"labels": ["a"] * 20, "source": "shop", "method": {"name": "ridge"}}


def test_a_large_file_is_looked_through_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def guessed(*rows: Any) -> Guess:
        threads.append(threading.get_ident())
        return guess(*rows)

    monkeypatch.setattr("service.client.learning.guess", guessed)
    answers = [problem(404, "not-found"), ok(a_model(), 201), ok(an_update(), 202)]

    async def push() -> None:
        transport = httpx.MockTransport(lambda request: answers.pop(0))
        async with AsyncClient("http://service", transport=transport) as made:
            await made.model("digits").push(b"a,b,label\n1,2,x\n", wait=None)

    asyncio.run(push())
    assert (len(threads), threading.get_ident() in threads) == (1, False)


def test_what_is_no_file_is_told_before_anything_is_sent() -> None:
    rents = client(Door()).model("rents")
    with pytest.raises(FileNotFoundError, match="go in a list"):
        rents.predict("where is my order")
    with pytest.raises(ValueError, match="labels are given beside a CSV file"):
        rents.update(b"a,b\n1,2\n", [1])
    with pytest.raises(ValueError, match="target names a column, and these rows name none: send dicts"):
        rents.update([[1]], target="price")


def test_what_to_do_about_a_dispute_is_a_call_of_this_client() -> None:
    settle = "settle it: POST /v1/models/digits/disputes/dis_1/settle."
    names = ("source", "version", "opened_by", "by", "at")
    dispute = {"id": "dis_1", "model": "digits", "class": "a", "suggested": "b", "rows": 4, "update": "upd_1"}
    dispute |= {"batches": [], "opened_at": "2026-12-01T00:00:00Z", "state": "open", "reason": "", "remedy": settle}
    door = Door(ok({"items": [{**dispute, **dict.fromkeys(names)}], "next_cursor": None}))
    [shown] = client(door).model("digits").disputes()
    assert shown.remedy == 'settle it: client.model("digits").settle_dispute("dis_1", ...).'
