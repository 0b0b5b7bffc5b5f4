"""Labels of a batch are corrected in one version: as if no other labels had ever come."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.conftest import NewModel
from tests.acceptance.service import Caller, blobs, held
from tests.acceptance.test_numbers import made, send
from tests.acceptance.test_numbers import rows as numbers
from tests.running import Server


def sent(caller: Caller, inputs: list[list[float]], labels: list[str]) -> dict[str, Any]:
    return caller.sent(inputs=inputs, labels=labels, new_classes="allow")


@pytest.mark.long
def test_a_corrected_batch_leaves_the_digest_of_having_seen_no_other_labels(new_model: NewModel) -> None:
    typed, right = new_model(), new_model()
    inputs, labels = blobs(0)
    slips = {17: "a", 18: "d", 41: "c"}
    assert all(labels[row] != slip for row, slip in slips.items())
    wrong = [slips.get(row, label) for row, label in enumerate(labels)]
    batch = sent(typed, inputs, wrong)["batches"][0]
    suspects = typed.ok("GET", f"{typed.path}/batches/{batch}/suspects?limit=1000")
    assert "by a head that had learned others" in suspects["note"]
    listed = {row["row"]: row["suggested"] for row in suspects["items"] if row["row"] in slips}
    assert listed
    assert all(labels[row] == suggested for row, suggested in listed.items())
    typed.learn(1)

    rows = {"17": labels[17], "18": labels[18], "41": None}
    path = f"{typed.path}/batches/{batch}/corrections?wait=60"
    done = typed.end(typed.ok("POST", path, {"rows": rows, "reason": "looked again"})["id"])
    assert (done["kind"], done["verdict"], done["version"], typed.live()) == ("retract", "promoted", 3, 3)
    assert done["why"].startswith("Subtracted and added")
    [new] = done["adds"]
    assert set(typed.version(3)["batches"]) == {new, *typed.version(2)["batches"]} - {batch}
    assert (typed.state(batch), typed.state(new)) == ("retracted", "learned")

    sent(right, inputs[:41] + inputs[42:], labels[:41] + labels[42:])
    right.learn(1)
    again = right.end(right.retract([right.batch(2)])["id"])  # takes nothing back: makes no version
    assert again["version"] is None
    digest = done["report"]["certificate"]["ledger_digest"]
    assert digest == corrected_digest(right)

    restored = {"rows": {"17": "a"}, "reason": "no"}
    second = typed.end(typed.ok("POST", f"{typed.path}/batches/{new}/corrections?wait=60", restored)["id"])
    assert (second["version"], second["verdict"]) == (4, "promoted")
    suspects = typed.ok("GET", f"{typed.path}/batches/{second['adds'][0]}/suspects?limit=1000")["items"]
    assert {row["row"]: (row["label"], row["suggested"]) for row in suspects if row["row"] in slips} == {
        17: ("a", labels[17])
    }, "what is still wrong in a corrected batch is listed, and what was corrected is not"
    assert second["report"]["certificate"]["ledger_digest"] != digest
    again_wrong = typed.sent(inputs=inputs, labels=wrong, again=True)
    told = again_wrong["report"]["batch"]
    note = f"has the rows of batch {second['adds'][0]} as they were before they were corrected: they count twice."
    assert (told["taken_back_at"], [note in said for said in told["notes"]].count(True)) == (None, 1)
    typed.end(typed.retract(again_wrong["batches"])["id"])
    taken = typed.end(typed.retract([second["adds"][0]])["id"])
    assert (taken["verdict"], len(typed.version(taken["version"])["batches"])) == ("promoted", 1)


@pytest.mark.long
def test_a_batch_that_is_to_take_the_place_of_another_is_corrected_once_it_has(
    shared: Server, new_model: NewModel
) -> None:
    """Corrected before, it would be missing from the version in which the other one no longer is."""
    typed, right = new_model(), new_model()
    inputs, labels = blobs(0)
    batch = sent(typed, inputs, ["b", "a", *labels[2:]])["batches"][0]
    path, reason = f"{typed.path}/batches", "looked again"
    rest = {"rows": {"1": "b"}, "reason": reason}
    with held([shared.pid]):
        first = typed.ok("POST", f"{path}/{batch}/corrections", {"rows": {"0": "a"}, "reason": reason})
        [new] = first["adds"]
        refused = typed.http.post(f"{path}/{new}/corrections", json=rest)
        assert (refused.status_code, refused.json()["update"]) == (409, first["id"]), refused.text
    assert typed.end(first["id"])["verdict"] == "promoted"
    second = typed.end(typed.ok("POST", f"{path}/{new}/corrections", rest)["id"])
    assert (second["verdict"], typed.version(3)["batches"]) == ("promoted", second["adds"])
    sent(right, inputs, labels)
    assert second["report"]["certificate"]["ledger_digest"] == corrected_digest(right)


@pytest.mark.long
def test_targets_that_were_promoted_by_hand_are_listed_and_corrected_as_if_they_had_been_right(shared: Server) -> None:
    exact = {"name": "ridge", "lift": "none", "decay": 1}
    with (
        made(shared, "numbers.typed", method=exact) as typed,
        made(shared, "numbers.right", method=exact) as right,
    ):
        inputs, targets = numbers(9)
        slips = {"17": targets[17], "41": targets[41], "99": None}
        wrong = [10 * y if str(row) in slips else y for row, y in enumerate(targets)]
        for caller in (typed, right):
            for seed in range(3):
                assert send(caller, *numbers(seed))["verdict"] == "promoted"
        sneaked = send(typed, inputs, wrong)
        assert sneaked["verdict"] != "promoted"
        typed.ok("POST", f"{typed.path}/deployments", {"version": sneaked["version"], "reason": "in a hurry"})
        batch = f"{typed.path}/batches/{sneaked['batches'][0]}"
        suspects = typed.ok("GET", f"{batch}/suspects")
        assert {str(row["row"]) for row in suspects["items"][:3]} == {*slips}
        assert all(row["error"] > 1000 and row["target"] == wrong[row["row"]] for row in suspects["items"][:3])
        assert "the version before" in suspects["note"]
        for rows, left in (({"17": slips["17"], "99": None}, [41]), ({"41": slips["41"]}, [])):
            order = {"rows": rows, "reason": "a shifted point"}
            done = typed.end(typed.ok("POST", f"{batch}/corrections?wait=60", order)["id"])
            assert (done["kind"], done["verdict"]) == ("retract", "promoted")
            batch = f"{typed.path}/batches/{done['adds'][0]}"
            suspects = typed.ok("GET", f"{batch}/suspects")
            assert [row["row"] for row in suspects["items"]] == left, "what was corrected is listed no more"
            assert "by a head that had learned others" in suspects["note"]
        kept = [row for row in range(len(inputs)) if row != 99]
        assert send(right, [inputs[k] for k in kept], [targets[k] for k in kept])["verdict"] == "promoted"
        taken = right.end(right.retract(send(right, *numbers(5))["batches"])["id"])
        digests = [each["report"]["certificate"]["ledger_digest"] for each in (done, taken)]
        assert digests[0] == digests[1]


def corrected_digest(caller: Caller) -> str:
    """The certificate of what the live version learned: one more batch comes and is taken back."""
    batch = caller.learn(3)["batches"][0]
    done = caller.end(caller.retract([batch])["id"])
    digest: str = done["report"]["certificate"]["ledger_digest"]
    return digest
