"""What the service says over HTTP names verbs of the terminal there, calls in Python, and what is clicked on a page."""

from __future__ import annotations

from service.cli.connection import in_options
from service.client.calls import as_calls
from service.learning.data.slips import class_notes
from service.web.words import Words
from tests.client.test_result import result
from tests.learning.gate.classes.test_class_gate import POLICY, judge, like, named

WHY = judge(named(three=like(0.52), **{"a/4, b": like(0.5, called="4")}), POLICY).why


def test_a_name_that_would_stay_known_is_removed_in_the_words_of_who_reads_it() -> None:
    over_http = "(DELETE /v1/models/…/classes/three, DELETE /v1/models/…/classes/a%2F4%2C%20b)"
    assert over_http in WHY
    of_calls = 'client.model("digits").delete_class("three"), client.model("digits").delete_class("a/4, b")'
    card = result(WHY, "held")
    assert f"({of_calls})" in card.sentence
    typed = "(tsuika delete-class {0} three, tsuika delete-class {0} 'a/4, b')"
    assert typed.format("digits") in in_options(card.sentence)
    assert typed.format("MODEL") in in_options(WHY)
    assert "which would stay known (under Classes). " in Words("en").said(WHY)


def test_a_slip_that_became_a_class_is_corrected_in_the_words_of_who_reads_it() -> None:
    [note] = class_notes({"wien": 1, "wein": 90}, [], ["bat_1"])
    assert "POST .../batches/bat_1/corrections" in note
    typed = in_options(note)
    assert '"wein" (tsuika correct MODEL bat_1), then delete the class (tsuika delete-class).' in typed
    assert '"wein" (tsuika correct digits bat_1), then' in in_options(as_calls(note, "digits")), "of a card or report"
    said = Words("en").said(note)
    assert said.endswith('the label "wein" (on the page of their batch), then delete the class (under Classes).')


def test_what_may_be_meant_is_said_without_the_member_of_a_body() -> None:
    sentence = 'If they moved on purpose, learn them with "expect": "move".'
    assert in_options(sentence) == "If they moved on purpose, learn them with --expect move."
    assert Words("en").said(sentence) == "If they moved on purpose, learn them again as such."


def test_what_waits_is_learned_in_the_words_of_who_reads_it() -> None:
    for which, typed in (('"pending"', ""), ('["bat_1", "bat_2"]', " bat_1 bat_2")):
        sentence = f'2 batches of 9 rows wait to be learned: POST {{"batches": {which}}} to /v1/models/digits/updates.'
        assert f'client.model("digits").update(batches={which})' in as_calls(sentence, "digits")
        assert in_options(as_calls(sentence, "digits")).endswith(f"to be learned: tsuika learn digits{typed}.")
        assert Words("en").said(sentence) == "2 batches of 9 rows wait to be learned (under Batches)."


def test_no_http_is_left_where_a_batch_is_taken_back() -> None:
    for sentence in (
        "No row would be left. Take the batch back: POST .../retractions.",
        "Take that back first (POST .../retractions), then send this ledger again.",
    ):
        assert "tsuika retract" in in_options(sentence)
        assert "POST" not in in_options(sentence) + Words("en").said(sentence)


def test_a_call_of_the_client_is_a_verb_in_a_terminal() -> None:
    for sentence, typed in [
        ("POST .../corrections gives rows other labels.", "tsuika correct gives rows other labels."),
        (
            '"z" is no class. A new one is declared first: POST .../classes.',
            '"z" is no class. A new one: --new-classes.',
        ),
        ("Take the batch back: POST .../retractions.", "Take the batch back: tsuika retract."),
        (
            "Nothing is pending in digits: POST a batch first, or send rows with the update.",
            "Nothing is pending in digits. Send rows: tsuika push digits FILE.",
        ),
    ]:
        assert in_options(as_calls(sentence, "digits")) == typed
