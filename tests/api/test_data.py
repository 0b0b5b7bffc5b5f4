"""Batches and the vocabulary: accepted once, folded, counted, refused with a pointer."""

from __future__ import annotations

import json
import re

import numpy as np

from service.learning.data.rows import FOLDS
from service.learning.data.serialization import unpack_rows
from service.registry import batches, models
from service.remedies import found
from service.storage.artifacts import model_area
from tests.api.conftest import Api, pointers
from tests.making import make_version

ROWS = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
BATCHES = "/v1/models/digits/batches"


def test_a_batch_is_stored_with_its_folds(api: Api) -> None:
    response = api("POST", BATCHES, {"inputs": ROWS, "labels": ["a", 5, True], "source": "shop-17"})
    assert response.status_code == 201
    batch = response.json()
    assert response.headers["location"] == f"{BATCHES}/{batch['id']}"
    assert batch["label_counts"] == {"a": 1, "5": 1, "true": 1}
    assert (batch["rows"], batch["state"], batch["in_live"], batch["source"]) == (3, "pending", False, "shop-17")
    assert api.ok("GET", f"{BATCHES}/{batch['id']}") == batch
    assert api.ok("GET", "/v1/models/digits")["classes"] == ["a", "5", "true"]
    assert api.ok("GET", "/v1/models/digits")["pending"] == {"batches": 1, "rows": 3, "stopped": 0, "refuted": 0}
    with api.runtime.database.reading() as session:
        row = batches.get(session, models.get(session, "digits"), batch["id"])
    stored = unpack_rows(api.runtime.store.get(model_area(row.model_id), row.stored_digest or ""))
    assert stored.inputs.tolist() == ROWS
    assert stored.label_names() == ["a", "5", "true"]
    assert stored.batches == (batch["id"],)
    assert stored.folds.max() < FOLDS
    assert {name: sum(counts[:3]) + counts[3] for name, counts in row.folds.items()}.keys() == row.label_counts.keys()
    assert batch["lent"] == [k for k in range(3) if stored.lent[k]]


def test_the_same_rows_again_are_the_same_batch(api: Api) -> None:
    first = api("POST", BATCHES, {"inputs": ROWS, "labels": ["a", "b", "c"]})
    again = api("POST", BATCHES, {"labels": ["a", "b", "c"], "inputs": [[1.0, 2, 3], *ROWS[1:]]})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    other_source = api("POST", BATCHES, {"inputs": ROWS, "labels": ["a", "b", "c"], "source": "x"})
    counted_twice = api("POST", BATCHES, {"inputs": ROWS, "labels": ["a", "b", "c"], "again": True})
    assert len({r.json()["id"] for r in (first, other_source, counted_twice)}) == 3
    [note] = other_source.json()["notes"]
    assert note.startswith(f"Batch {first.json()['id']} without a source has the same rows")
    assert (first.json()["notes"], counted_twice.json()["notes"]) == ([], [])
    assert [b["source"] for b in api.ok("GET", f"{BATCHES}?source=x")["items"]] == ["x"]


def test_batches_that_wait_are_listed_by_themselves(api: Api) -> None:
    kept, taken, of_x = (
        api.ok("POST", BATCHES, {"inputs": [[k, 0, 0]], "labels": ["a"], "new_classes": "allow", "source": source})[
            "id"
        ]
        for k, source in enumerate((None, None, "x"))
    )
    api.ok("POST", "/v1/models/digits/retractions", {"batches": [taken]})
    for asked, due in (("waiting=true", [of_x, kept]), ("waiting=true&source=x", [of_x])):
        assert [b["id"] for b in api.ok("GET", f"{BATCHES}?{asked}")["items"]] == due
    first = api.ok("GET", f"{BATCHES}?waiting=true&limit=1")
    assert [b["id"] for b in first["items"]] == [of_x]
    rest = api.ok("GET", f"{BATCHES}?waiting=true&limit=1&cursor={first['next_cursor']}")
    assert ([b["id"] for b in rest["items"]], rest["next_cursor"]) == ([kept], None)


def test_a_file_that_is_sent_again_corrected_names_the_batch_to_take_back(api: Api) -> None:
    drawn = np.random.default_rng(0)
    inputs, labels = drawn.normal(size=(40, 3)).round(3).tolist(), drawn.choice(["a", "b"], 40).tolist()
    first = api.ok("POST", BATCHES, {"inputs": inputs, "labels": labels, "new_classes": "allow"})
    renamed = ["a" if k < 3 else label for k, label in enumerate(labels)]
    moved = [[x + 1, y, z] if k in (20, 30) else [x, y, z] for k, (x, y, z) in enumerate(inputs)]
    second = api.ok("POST", BATCHES, {"inputs": moved, "labels": renamed})
    same = sum(a == b for a, b in zip(labels, renamed, strict=True)) - 2
    [note] = second["notes"]
    assert same < 38
    assert note.startswith(f"{same} of 40 rows are in batch {first['id']}, too: they count twice. If")
    [way] = found(note)
    verb, body, _, path = re.fullmatch(r"(\w+) (.*) (to) (\S+)", way.text).groups()  # type: ignore[union-attr]
    assert api(verb, path, json.loads(body)).status_code == 202
    assert api.ok("GET", f"{BATCHES}/{first['id']}")["state"] == "retracted"
    assert api.ok("GET", f"{BATCHES}/{second['id']}")["state"] == "pending"


def test_faulty_batches_leave_nothing_behind(api: Api) -> None:
    for body, pointer in [
        ({"inputs": [[1, 2, 3]], "labels": []}, "/labels"),
        ({"inputs": [[1, 2, 3]], "labels": ["a"], "source": "shop\u2800"}, "/source"),
        ({"inputs": [], "labels": []}, "/inputs"),
        ({"inputs": [[1, 2]], "labels": ["a"]}, "/inputs/0"),
        ({"inputs": [1, 2, 3], "labels": ["a"]}, "/inputs"),
        ({"inputs": [[1, 2, "3"]], "labels": ["a"]}, "/inputs/0/2"),
        ({"inputs": [[1, 2, 3]], "labels": [1.5]}, "/labels/0"),
        ({"inputs": [[1, 2, 3]], "labels": ["a\x00"]}, "/labels/0"),
        ({"inputs": [[1, 2, 3]], "labels": ["a"], "gate": {}}, "/gate"),
        ({"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "maybe"}, "/new_classes"),
        ({"inputs": [[1, 2, 3]]}, "/labels"),
    ]:
        refused = api("POST", BATCHES, body)
        assert refused.status_code == 422, refused.text
        assert pointers(refused) == [pointer], body
        assert api.ok("GET", BATCHES)["items"] == [], body
        assert api.ok("GET", "/v1/models/digits")["classes"] == [], body


def test_a_typo_does_not_become_a_class(api: Api) -> None:
    api.ok("POST", BATCHES, {"inputs": ROWS, "labels": ["seven", "eight", "nine"]})
    refused = api("POST", BATCHES, {"inputs": ROWS, "labels": ["seven", "sevn", "eight"]})
    assert refused.status_code == 422
    assert pointers(refused) == ["/labels/1"]
    assert 'Near: "seven"' in refused.json()["detail"]
    assert refused.json()["type"] == "/problems/unknown-labels"
    allowed = api("POST", BATCHES, {"inputs": ROWS, "labels": ["seven", "sevn", "eight"], "new_classes": "allow"})
    assert allowed.status_code == 201
    assert api.ok("GET", "/v1/models/digits/classes")["classes"] == ["seven", "eight", "nine", "sevn"]


def test_a_model_with_a_version_has_its_classes_already(api: Api) -> None:
    make_version(api.runtime, classes=["a"])
    for name in ("a",):
        assert api("DELETE", f"/v1/models/digits/classes/{name}").status_code == 204
    assert api("POST", BATCHES, {"inputs": ROWS, "labels": ["x", "y", "z"]}).status_code == 422


def test_two_spellings_of_a_name_are_one_class(api: Api) -> None:
    api.ok("POST", BATCHES, {"inputs": ROWS[:2], "labels": ["caf\u00e9", " cafe\u0301 "]})
    assert api.ok("GET", "/v1/models/digits")["classes"] == ["caf\u00e9"]


def test_classes_are_declared_and_taken_out(api: Api) -> None:
    path = "/v1/models/digits/classes"
    assert api("POST", path, {"names": ["a/b", "%", "c"]}).status_code == 201
    known = api("POST", path, {"names": ["c"]})
    assert (known.status_code, known.json()) == (200, {"classes": ["a/b", "%", "c"]})
    api.ok("POST", BATCHES, {"inputs": ROWS[:1], "labels": ["c"]})
    assert api("DELETE", f"{path}/a%2Fb").status_code == 204
    assert api("DELETE", f"{path}/%25").status_code == 204
    used = api("DELETE", f"{path}/c")
    assert used.status_code == 409
    assert "Retract it first" in used.json()["detail"]
    assert api("DELETE", f"{path}/nobody").status_code == 404
    assert api("POST", path, {"names": ["ok", "x\u202e"]}).json()["errors"][0]["pointer"] == "/names/1"


def test_other_forms_of_data_are_refused_by_name(api: Api) -> None:
    refused = api("POST", BATCHES, content=b"{}\n{}\n", headers={"Content-Type": "application/x-ndjson"})
    assert refused.status_code == 415
    assert "application/x-ndjson is not taken yet" in refused.json()["detail"]


def test_a_batch_of_another_model_is_not_here(api: Api) -> None:
    batch = api.ok("POST", BATCHES, {"inputs": ROWS[:1], "labels": ["a"]})
    api.ok("POST", "/v1/models", {"name": "other", "input": {"kind": "vector", "size": 3}})
    assert api("GET", f"/v1/models/other/batches/{batch['id']}").status_code == 404
    assert api("POST", "/v1/models/other/updates", {"batches": [batch["id"]]}).status_code == 422
