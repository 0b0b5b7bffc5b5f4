"""The device that an update asks for: taken where settings allow it and it is here, else refused with the reason."""

from __future__ import annotations

import re

from tests.api.conftest import MakeApi

ROWS = {"inputs": [[0.0, 1.0], [1.0, 0.0]], "labels": ["a", "b"], "new_classes": "allow"}


def test_an_update_may_name_the_devices_of_the_settings(make_api: MakeApi) -> None:
    api = make_api(update_devices="cuda:9, auto")
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 2}})
    for device in ("cpu", "auto"):
        update = api.ok("POST", "/v1/models/digits/updates", ROWS | {"device": device, "source": device})
        assert update["device"] == device
    assert api.ok("POST", "/v1/models/digits/updates", ROWS)["device"] is None
    for device, why in (
        ("mps", "on cpu or cuda:9 or auto here, and not on mps: .*TSUIKA_UPDATE_DEVICES"),
        ("cuda:9", "no device cuda:9 here. There is "),
        ("tpu", "^device is cpu, cuda .*, or auto"),
        ("cpu\n", "^device is cpu"),
    ):
        refused = api("POST", "/v1/models/digits/updates", ROWS | {"device": device})
        assert refused.status_code == 422
        problem = refused.json()
        assert [error["pointer"] for error in problem["errors"]] == ["/device"]
        assert re.search(why, problem["detail"]), problem


def test_the_first_gpu_has_two_names(make_api: MakeApi) -> None:
    api = make_api(update_devices="cuda:0", worker=False)
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 2}})
    assert api.ok("POST", "/v1/models/digits/updates", ROWS | {"device": "cuda"})["device"] == "cuda"
    assert api("POST", "/v1/models/digits/updates", ROWS | {"device": "cuda:1"}).status_code == 422


def test_where_others_learn_it_is_they_who_know_their_devices(make_api: MakeApi) -> None:
    api = make_api(worker=False, device="cuda:9")
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 2}})
    assert api.ok("POST", "/v1/models/digits/updates", ROWS | {"device": "cuda:9"})["device"] == "cuda:9"
