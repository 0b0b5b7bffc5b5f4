"""Both catalogues say the same; sentences count and list as their language does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

from service import errors
from service.api.limits.table import ROWS
from service.contract.enums import DisputeState, Verdict
from service.contract.figures import amount
from service.errors import KINDS
from service.learning.gate.classes.class_gate import RULES
from service.learning.gate.numbers.number_gate import NUMBER_RULES
from service.web.pages.docs import calls
from service.web.rendering import without_gaps
from service.web.words import LANGUAGES, Words, catalogue, moment, percent
from tests.api.conftest import Api

WEB = Path(__file__).parents[2] / "service" / "web"


def placeholders(sentence: object) -> set[str]:
    texts = [sentence] if isinstance(sentence, str) else list(dict(sentence).values())  # type: ignore[call-overload]
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_a_catalogue_has_the_keys_and_placeholders_of_english() -> None:
    english = catalogue("en")
    for language in LANGUAGES:
        other = {key: sentence for key, sentence in catalogue(language).items() if not key.startswith("reason.")}
        assert other.keys() == english.keys(), language
        for key, sentence in other.items():
            assert placeholders(sentence) - {"n"} == placeholders(english[key]) - {"n"}, key
            assert isinstance(sentence, str) == isinstance(english[key], str), key
            assert isinstance(sentence, str) or "other" in sentence, key


def test_every_key_that_pages_name_is_there_and_every_one_that_is_there_is_named() -> None:
    sources = "\n".join(path.read_text() for path in WEB.rglob("?*[a-z].*") if path.suffix in (".py", ".html"))
    named = set(re.findall(r'(?:\bt|\bwords|self|\.words)\("([a-z_.]+)"[,)]', sources))
    made = {m[0] for m in re.findall(r'\(f?"([a-z_.]+?[._])("|\{)', sources)}
    made |= {"refusal."}
    made |= {f"{kind}." for kind in re.findall(r'\.named\("([a-z]+)", ', sources)}
    keys = catalogue("ja").keys()
    assert named <= keys
    assert not [
        key for key in keys - named if not any(key.startswith(prefix) for prefix in made) and f'"{key}"' not in sources
    ]


def test_each_verdict_and_each_rule_of_the_gate_has_words() -> None:
    words = Words("en")
    assert all(words(f"verdict.{verdict}") for verdict in Verdict)
    assert [name for _, name, _ in (*RULES, *NUMBER_RULES) if words.named("rule", name) == name] == []
    assert words.named("rule", "of_tomorrow") == "of_tomorrow"


def test_what_a_phase_counts_is_said() -> None:
    assert Words("en").done("features", 917, 1000) == "917 of 1,000 rows."
    assert Words("en").done("training", 3, 1000) == "3 of 1,000 epochs."
    assert Words("en").done("of_tomorrow", 2, 9) == "2 of 9 steps."
    assert Words("ja").done("features", 917, 1000) == "1,000 行のうち 917 行。"
    phases = {"queue", *re.findall(r'(?:progress|Phase)\("([a-z ]+)"', sources_of("learning", "worker"))}
    assert len(phases) > 10
    for language in LANGUAGES:
        assert [name for name in sorted(phases) if f"phase.{name}" not in Words(language)] == []


def sources_of(*rooms: str) -> str:
    """The text of all files of rooms of the service."""
    return "\n".join(path.read_text() for room in rooms for path in (WEB.parent / room).rglob("*.py"))


def test_each_kind_of_refusal_has_words() -> None:
    for language in LANGUAGES:
        words = Words(language)
        lacking = [
            slug
            for slug, kind in KINDS.items()
            if kind.__module__ == errors.__name__ and f"refusal.{slug}" not in words
        ]
        assert lacking == [], language
        assert {"refusal.internal", "refusal.method-not-allowed"} <= catalogue(language).keys(), language
        assert words.refusal("of-tomorrow") == words("refusal.error"), language
        assert words.failure("Training diverged") == words("refusal.diverged"), language
        assert words.failure("Of tomorrow") == words("refusal.learning-failed"), language


def test_each_limit_and_each_remedy_has_words_in_japanese() -> None:
    words = Words("ja")
    parts = [f"reason.limit.{part}.{row.name}" for row in ROWS for part in ("name", "bounds", "beyond")]
    units = {f"reason.unit.{row.unit}" for row in ROWS}
    remedies = [f"reason.remedy.{state}" for state in DisputeState if state is not DisputeState.SETTLED]
    assert [key for key in (*parts, *units, *remedies) if key not in words] == []
    limits = [key for key in catalogue("ja") if key.startswith(("reason.limit.", "reason.unit."))]
    assert set(limits) == {*parts, *units}


def test_each_call_has_words_in_japanese(api: Api) -> None:
    words = Words("ja")
    groups = calls(json.dumps(api.ok("GET", "/openapi.json")).encode())
    due = {f"reason.call.{call.method} {call.path}" for listed in groups.values() for call in listed}
    due |= {f"reason.calls.{group}" for group in groups}
    assert {key for key in catalogue("ja") if key.startswith(("reason.call.", "reason.calls."))} == due
    assert not any(words(key).isascii() for key in due)


def test_counts_and_lists_are_those_of_the_language() -> None:
    english, japanese = Words("en"), Words("ja")
    assert english("model.rows", n=1) == "1 row"
    assert english("model.rows", n=1234) == "1,234 rows"
    assert japanese("model.rows", n=1) == "1 行"
    assert english.listed(["7", "8", "9"]) == "7, 8 and 9"
    assert japanese.listed(["8", "9"]) == "8 と 9"
    assert english.listed([str(n) for n in range(20)]) == "20 of them"
    assert english("models.held", n=2, versions=["3", "4"]) == "Versions 3 and 4 wait for your decision."


def test_japanese_has_no_space_beside_full_width_marks_but_in_what_people_wrote() -> None:
    written = "<bdi>お。 「か」</bdi> が</p><textarea>\n「き」</textarea>"
    page = f"<p title='あ。 （い'>あ。 <b>い：</b>\n<a>う</a> 「え」 v 2 {written}"
    assert without_gaps(page) == f"<p title='あ。 （い'>あ。<b>い：</b><a>う</a>「え」v 2 {written}"


def test_what_a_name_says_in_braces_is_not_filled_in() -> None:
    assert Words("en")("rollback.title", model="{n} {0.__class__}").startswith("Take {n} {0.__class__} back")


def test_numbers_and_times() -> None:
    assert percent(0.9741) == "97.4\N{NO-BREAK SPACE}%"
    assert [amount(value) for value in (1190.4, 15.43, 1.2e-9, -0.5)] == ["1,190", "15.4", "1.2e-09", "−0.5"]
    assert moment(datetime(2026, 11, 30, 11, 42, tzinfo=UTC)) == "2026-11-30 11:42 UTC"
