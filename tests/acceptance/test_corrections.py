"""Labels of a batch are corrected in one version: as if no other labels had ever come."""

from __future__ import annotations

from typing import Any

from tests.acceptance.conftest import NewModel
from tests.acceptance.service import Caller, blobs


def sent(caller: Caller, inputs: list[list[float]], labels: list[str]) -> dict[str, Any]:
    return caller.sent(inputs=inputs, labels=labels, new_classes="allow")


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
    taken = typed.end(typed.retract([second["adds"][0]])["id"])
    assert (taken["verdict"], len(typed.version(5)["batches"])) == ("promoted", 1)


def corrected_digest(caller: Caller) -> str:
    """The certificate of what the live version learned: one more batch comes and is taken back."""
    batch = caller.learn(3)["batches"][0]
    done = caller.end(caller.retract([batch])["id"])
    digest: str = done["report"]["certificate"]["ledger_digest"]
    return digest
