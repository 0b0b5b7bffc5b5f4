"""What the service says over HTTP names verbs of the terminal there, calls in Python, and what is clicked on a page."""

from __future__ import annotations

from service.cli.connection import in_options
from service.learning.data.slips import class_notes
from service.remedies import EXPECT, SEND_KEY, Door, worded
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
    assert "which would stay known (see Classes). " in Words("en").said(WHY)


def test_a_slip_that_became_a_class_is_corrected_in_the_words_of_who_reads_it() -> None:
    [note] = class_notes({"wien": 1, "wein": 90}, [], ["bat_1"])
    assert "(POST /v1/models/…/batches/bat_1/corrections)" in note
    then = "then delete the class (tsuika delete-class {0} wien)."
    assert f'"wein" (tsuika correct MODEL bat_1), {then.format("MODEL")}' in in_options(note)
    assert f'"wein" (tsuika correct digits bat_1), {then.format("digits")}' in in_options(note, "digits"), "of a report"
    called = worded(note, Door.PYTHON, "digits")
    assert in_options(called) == in_options(note, "digits"), "of a card"
    said = Words("en").said(note)
    assert said.endswith('the label "wein" (see the page of the batch), then delete the class (see Classes).')


def test_what_may_be_meant_is_said_without_the_member_of_a_body() -> None:
    sentence = f"If they moved on purpose, learn them {EXPECT(what='move')}."
    assert in_options(sentence) == "If they moved on purpose, learn them with --expect move."
    assert Words("en").said(sentence) == "If they moved on purpose, learn them again as such."


def test_a_key_is_asked_for_in_the_words_of_who_reads_it() -> None:
    sentence = f"This service needs a key. {SEND_KEY()}."
    assert "Authorization: Bearer" in sentence
    assert in_options(sentence) == "This service needs a key. Set TSUIKA_KEY to one."
    assert Words("en").said(sentence) == "This service needs a key. Sign in with one."
