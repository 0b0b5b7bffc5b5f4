"""Charts: numbers in, SVG out."""

from __future__ import annotations

import re
from itertools import pairwise
from unicodedata import east_asian_width
from xml.etree import ElementTree

import pytest

from service.contract.figures import amount
from service.contract.resources import EpochLosses
from service.web.charts.axis import Axis, cut, svg, text, ticks
from service.web.charts.changes import changes
from service.web.charts.history import History, Mark, Step, describe, history
from service.web.charts.losses import losses
from service.web.reports.estimates import Estimate, Pair, share
from service.web.words import Words, percent


def test_ticks_are_round_and_few_and_hold_all_values() -> None:
    for low, high, expected in [
        (0.831, 1.0, [0.8, 0.85, 0.9, 0.95, 1.0]),
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 37, [0, 10, 20, 30, 40]),
        (0, 1.3e-9, [0, 5e-10, 1e-9, 1.5e-9]),
        (0, 7e12, [0, 2e12, 4e12, 6e12, 8e12]),
    ]:
        assert ticks(low, high) == pytest.approx(expected, rel=1e-9, abs=0), low


def test_ticks_of_one_value_span_something() -> None:
    for value in [0.0, 1.0, -3.5, 1e-300, 1e150]:
        values = ticks(value, value)
        assert values[0] <= value * (1 - 1e-9 if value > 0 else 1 + 1e-9) or values[0] <= value, value
        assert values[-1] > values[0], value


def test_what_lies_beyond_an_axis_is_drawn_at_its_end() -> None:
    up = Axis(0.8, 1.0, 200, 20)
    assert (up.at(0.8), up.at(0.9), up.at(1.0), up.at(0.1), up.at(7)) == (200, 110, 20, 200, 20)


def test_whatever_a_text_says_is_shown_as_text() -> None:
    picture = svg([text("tick", 0, 0, "<script>alert(1)</script>")], 10, 10, '"><b>', "<i>&")
    root = ElementTree.fromstring(picture)
    assert root.attrib["aria-label"] == '"><b>'
    assert [child.text for child in root] == ['"><b>', "<i>&", "<script>alert(1)</script>"]


def steps() -> list[Step]:
    """Two classes more at version 2, version 3 rejected, version 4 held, version 5 live."""
    return [
        Step(1, Mark.WENT_LIVE, None, share(0.95, 300)),
        Step(2, Mark.WENT_LIVE, share(0.97, 1000), share(0.9, 60)),
        Step(3, Mark.REJECTED, share(0.1, 1000)),
        Step(4, Mark.HELD, share(0.96, 1000)),
        Step(5, Mark.LIVE, share(0.975, 1000)),
    ]


def of(steps: list[Step], rollbacks: list[tuple[int, int]] | None = None, language: str = "en") -> History:
    return History(steps, rollbacks or [], percent, ("old", "new"), Words(language))


def test_a_history_marks_what_became_of_each_version() -> None:
    wide, narrow = (
        ElementTree.fromstring(part) for part in re.findall(r"<svg.*?</svg>", history(of(steps(), [(5, 2)])))
    )
    for picture, versions in ((wide, 5), (narrow, 5)):
        classes = [element.get("class") for element in picture.iter()]
        assert classes.count("dot old") == 2
        assert classes.count("dot new") == 2
        assert classes.count("hollow old") == 1
        assert classes.count("cross") == 1
        assert classes.count("ring") == 1
        assert classes.count("undo") == 1
        assert (
            len([e for e in picture.iter() if (e.text or "").startswith("v") and e.get("class") == "tick"]) <= versions
        )
    assert narrow.get("aria-hidden") == "true"
    assert wide.get("role") == "img"


def test_a_history_says_in_sentences_what_it_shows() -> None:
    said = describe(of(steps(), [(5, 2)])).replace("\N{NO-BREAK SPACE}", " ")
    assert said == (
        "Accuracy on trusted rows was 97.0 % at version 2 and is 97.5 % at version 5. Version 4 is held. Version 3 was "
        "rejected. Version 5 was rolled back to version 2."
    )
    assert "保留" in describe(of(steps(), language="ja"))
    last_rejected = [*steps(), Step(6, Mark.REJECTED, share(0.1, 1000))]
    assert "and is 97.5\N{NO-BREAK SPACE}% at version 5" in describe(of(last_rejected))
    back = [Step(1, Mark.LIVE, None, share(0.95, 300)), Step(2, Mark.WENT_LIVE, share(0.97, 1000))]
    assert describe(of(back)) == "Version 1 is live."
    alone = describe(of([Step(2, Mark.LIVE, share(0.97, 1000)), Step(3, Mark.WENT_LIVE, share(0.9, 1000))]))
    assert alone == "Accuracy on trusted rows is 97.0\N{NO-BREAK SPACE}% at version 2."


def test_a_value_at_the_edge_that_is_not_of_the_newest_version_names_its_own() -> None:
    for picture in re.findall(r"<svg.*?</svg>", history(of(steps()))):
        labels = re.findall(r'<text class="(?:lab \w+|note)" x="\d+" y="[\d.]+" text-anchor="start">([^<]*)<', picture)
        assert [label.replace("\N{NO-BREAK SPACE}", " ") for label in labels] == [
            "old 97.5 %",
            "new 90.0 %",
            "version 2",
        ]


def test_the_value_at_the_edge_is_that_of_the_live_version_whatever_came_after_it() -> None:
    for mark in (Mark.HELD, Mark.WENT_LIVE):  # one that waits, and one that was rolled back
        shown = [Step(1, Mark.WENT_LIVE, None, share(0.95, 300)), Step(2, Mark.LIVE, share(0.99, 300), forgotten=0.01)]
        shown.append(Step(3, mark, share(0.6, 300), forgotten=0.4))
        for picture in re.findall(r"<svg.*?</svg>", history(of(shown))):
            told = re.findall(
                r'<text class="(?:lab \w+|note)" x="\d+" y="[\d.]+" text-anchor="start">([^<]*)<', picture
            )
            assert "old 99.0\N{NO-BREAK SPACE}%" in told
            assert told.count("version 2") == 2, "of the line and of what was forgotten"
            assert "60.0" not in "".join(told)
        waits = history(of([Step(1, Mark.LIVE, None, share(0.95, 300)), Step(2, mark, share(0.9, 300))]))
        told = re.findall(r'<text class="(?:lab \w+|note)" x="\d+" y="[\d.]+" text-anchor="start">([^<]*)<', waits)
        assert ("version 2" in told) is (mark is Mark.HELD), "what waits is not taken for what is live"
        assert "At version 2 it is 1" in describe(of(shown))


def test_labels_at_the_edge_stand_above_the_names_of_versions_and_apart() -> None:
    low = [
        Step(1, Mark.WENT_LIVE, None, Estimate(53.0, None, None, 300)),
        Step(2, Mark.LIVE, Estimate(49.0, None, None, 300), beside=Estimate(514.0, None, None, 300)),
        Step(3, Mark.REJECTED, Estimate(107.0, None, None, 300)),
    ]
    drawn = history(History(low, [], amount, ("error", "own", "yardstick"), Words("en")))
    for picture in re.findall(r"<svg.*?</svg>", drawn):
        found = re.findall(r'<text class="(?:lab \w+|note)" x="\d+" y="([\d.]+)" text-anchor="start"', picture)
        names = re.findall(r'<text class="tick"[^>]*y="([\d.]+)"[^>]*>v3<', picture)
        places = [float(y) for y in found]
        assert len(places) == 6
        assert max(places) <= float(names[0]) - 12
        assert min(b - a for a, b in pairwise(sorted(places))) >= 14


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("size", [1.0, 1e5, 1e8])
def test_labels_and_values_of_a_line_are_not_cut(size: float, language: str) -> None:
    steps = [
        Step(1, Mark.WENT_LIVE, None, Estimate(1.43 * size, None, None, 300)),
        Step(2, Mark.LIVE, Estimate(1.33 * size, None, None, 300), beside=Estimate(1.40599 * size, None, None, 300)),
    ]
    drawn = history(History(steps, [], amount, ("error", "own", "yardstick"), Words(language)))
    for picture in re.findall(r"<svg.*?</svg>", drawn):
        root = ElementTree.fromstring(picture)
        width = float(root.attrib["viewBox"].split()[2])
        for element in (e for e in root.iter("text") if e.get("text-anchor") != "middle"):
            signs = sum(12 if east_asian_width(sign) in "WF" else 7.4 for sign in element.text or "")
            x = float(element.attrib["x"])
            assert (x + signs <= width) if element.get("text-anchor") == "start" else (x >= signs), element.text


def test_a_rejected_version_does_not_stretch_the_scale() -> None:
    marked = re.findall(r'<text class="tick"[^>]*>([^<]+)</text>', history(of(steps())))
    assert "10\N{NO-BREAK SPACE}%" not in marked
    assert "100\N{NO-BREAK SPACE}%" in marked


def test_a_class_of_few_rows_does_not_stretch_the_scale() -> None:
    shown = [Step(n, Mark.WENT_LIVE, share(0.99, 400), share(0.0, 1) if n == 2 else None) for n in range(1, 5)]
    marked = re.findall(r'<text class="tick"[^>]*>([^<]+)</text>', history(of(shown)))
    assert "95\N{NO-BREAK SPACE}%" in marked
    assert "0\N{NO-BREAK SPACE}%" not in marked


def test_a_narrow_picture_says_from_which_version_on_it_is() -> None:
    many = [Step(n, Mark.WENT_LIVE, share(0.9, 100)) for n in range(1, 9)]
    wide, narrow = re.findall(r"<svg.*?</svg>", history(of(many)))
    assert ("from version" in wide, "from version 3 on" in narrow) == (False, True)


def test_places_stay_within_the_picture_however_many_versions_there_are() -> None:
    for count in (1, 2, 51, 200):
        many = [Step(n, Mark.WENT_LIVE, share(0.9, 100), share(0.5, 10)) for n in range(1, count + 1)]
        for width, picture in zip(
            (720, 360), re.findall(r"<svg.*?</svg>", history(of(many, [(2, 1), (9, 8)]))), strict=True
        ):
            places = [float(x) for x in re.findall(r'c?x[12]?="(-?[\d.]+)"', picture)]
            assert all(0 <= x <= width for x in places)


def test_names_of_versions_do_not_overlap() -> None:
    for last in [1, 2, 9, 50, 200, 3001, 123_456]:
        many = [Step(n, Mark.WENT_LIVE, share(0.9, 100)) for n in range(max(1, last - 199), last + 1)]
        for picture in re.findall(r"<svg.*?</svg>", history(of(many))):
            named = [
                (float(x), name) for x, name in re.findall(r'<text class="tick" x="([\d.]+)"[^>]*>(v\d+)<', picture)
            ]
            assert named[-1][1] == f"v{last}"
            for (x, name), (next_x, _) in pairwise(named):
                assert next_x - x >= 7.5 * len(name) + 4


def test_what_was_forgotten_is_a_bar_below_the_line_and_a_sentence() -> None:
    def forgets(*shares: float | None) -> History:
        marks = [Mark.WENT_LIVE, Mark.WENT_LIVE, Mark.HELD, Mark.LIVE, Mark.REJECTED]
        each = zip(marks, shares, strict=True)
        shown = [Step(n, mark, share(0.9, 99), forgotten=lost) for n, (mark, lost) in enumerate(each, 1)]
        return History(shown, [], percent, ("old", "new"), Words("en"), lambda lost: f"{100 * lost:.1f} points")

    lost = forgets(None, -0.01, 0.03, 0.02, 0.7)
    for picture in map(ElementTree.fromstring, re.findall(r"<svg.*?</svg>", history(lost))):
        bars = [each for each in picture.iter() if (each.get("class") or "").startswith("bar")]
        assert [each.get("class") for each in bars] == ["bar", "bar held", "bar"]
        down, held, live = [(float(each.get("y", "")), float(each.get("height", ""))) for each in bars]
        zero = down[0]
        assert held[0] + held[1] == pytest.approx(zero)
        assert live[0] + live[1] == pytest.approx(zero)
        assert held[1] == pytest.approx(1.5 * live[1], abs=0.2)
        said = [each.text for each in picture.iter() if each.text]
        assert {"forgotten", "2.0 points", "version 4"} <= {*said}
        assert "5\N{NO-BREAK SPACE}%" in said, "a rejected version does not stretch the scale"
        names = [float(each.get("y", "")) for each in picture.iter() if each.text == "v1"]
        assert min(names) > down[0] + down[1]
    most = "The most that a version which was not rejected had forgotten since its best is 3.0 points, at version 3."
    assert f" {most} At version 4 it is 2.0 points." in describe(lost)
    assert " No version that was not rejected had forgotten anything since its best. " in describe(
        forgets(None, -0.01, -0.02, 0.0, 0.7)
    )
    alone = history(forgets(None, None, None, None, 0.7))
    assert alone.count('class="cross"') == 4, "one above and one below, on wide and on narrow screens"
    assert 'class="bar' not in alone


def test_errors_begin_at_nothing_and_have_their_own_unit() -> None:
    errors = [
        Step(2, Mark.WENT_LIVE, Estimate(12.5, None, None, 80), beside=Estimate(31.0, None, None, 80)),
        Step(3, Mark.LIVE, Estimate(11.0, None, None, 80), beside=Estimate(40.0, None, None, 80)),
    ]
    shown = History(errors, [], amount, ("error", "own", "yardstick"), Words("en"))
    picture = history(shown)
    assert ">0</text>" in picture
    assert re.findall('class="lab [^>]*>([^<]*)<', picture)[:2] == ["yardstick 40", "new rows 11"]
    assert picture.count('class="line beside"') == 2, "on wide and on narrow screens"
    lone = History(errors[:1], [], amount, ("error", "own", "yardstick"), Words("en"))
    assert history(lone).count('class="line beside"') == 2, "a dash where there is no line"
    assert describe(shown).endswith(
        "was 12.5 at version 2 and is 11 at version 3. The yardstick is off by 40 on the same rows."
    )
    assert history(
        History([Step(1, Mark.LIVE, Estimate(0.0, None, None, 5))], [], amount, ("error", "new"), Words("en"))
    )


def test_losses_are_a_line_each_and_a_sentence() -> None:
    curve = [EpochLosses(epoch=k, training=1 / k, kept_back=1.5 / k) for k in (1, 2, 4)]
    wide, narrow = (ElementTree.fromstring(part) for part in re.findall(r"<svg.*?</svg>", losses(curve, Words("en"))))
    for picture in (wide, narrow):
        lines = [
            len((e.get("points") or "").split()) for e in picture.iter() if e.get("class") in ("line old", "line new")
        ]
        assert lines == [3, 3]
        assert [e.text for e in picture.iter() if (e.get("class") or "").startswith("lab")] == [
            "kept back 0.375",
            "training 0.25",
        ]
    assert wide[1].text == (
        "The training loss was 1 in epoch 1 and is 0.25 in epoch 4. On rows that are kept back it is 0.375."
    )
    alone = losses([EpochLosses(epoch=7, training=0.0, kept_back=None)], Words("ja"))
    assert "エポック 7" in alone
    assert "line new" not in alone


def test_changes_say_before_after_and_which_way() -> None:
    groups = [
        (Pair("<b>3</b>", share(0.95, 40), share(0.9, 40)), "−5.0 points · 40 rows"),
        (Pair("a name that is far too long for a phone", None, share(0.97, 40)), "new · 40 rows"),
        (Pair("gone", share(0.95, 40), None), "one alone"),
    ]
    wide, narrow = re.findall(r"<svg.*?</svg>", changes(groups, percent, (0.9, 1.0), "Accuracy of each class"))
    assert len(re.findall('class="db down"', wide)) == 1
    assert len(re.findall('class="hollow n"', wide)) == 1
    assert len(re.findall('class="dot n"', wide)) == 2
    assert len(re.findall('class="iv"', wide)) == 2
    assert len(re.findall('class="iv was"', wide)) == 1, "the interval of before, where it is known"
    assert "&lt;b&gt;3&lt;/b&gt;" in wide
    assert "<b>" not in wide
    assert "a name that is…" in narrow
    ranges = [(Pair("92,882 … 151,201", None, share(0.9, 40)), "new · 40 rows")]
    assert changes(ranges, percent, (0.9, 1.0), "").count(">92,882 … 151,201<") == 2, "a range is whole on a phone, too"
    assert ElementTree.fromstring(wide)[1].text == (
        "<b>3</b>: 90.0 %, −5.0 points · 40 rows. a name that is far too long for a phone: 97.0 %, new · 40 rows."
    ).replace(" %", "\N{NO-BREAK SPACE}%")


@pytest.mark.parametrize("note", ["−35.0 ポイント · 12,160 行", "not known before · 12,160 rows", "一方だけで測定"])
def test_what_stands_beside_a_change_fits_on_a_phone(note: str) -> None:
    wide, narrow = re.findall(
        r"<svg.*?</svg>", changes([(Pair("a", share(0.9, 9), share(0.5, 9)), note)], percent, (0.9, 1.0), "x")
    )
    [(x, shown)] = re.findall(r'<text class="tick" x="([\d.]+)" y="22.0" text-anchor="start">([^<]*)<', narrow)
    assert float(x) + sum(12 if east_asian_width(sign) in "WF" else 6.7 for sign in shown) <= 360
    assert note in wide


def test_a_name_is_cut_to_the_room_that_its_signs_take() -> None:
    assert [cut(name, 5) for name in ("", "abcde", "abcdef", "日本", "日本語", "a日本", "ABCD", "WWWW")] == [
        "",
        "abcde",
        "abcd…",
        "日本",
        "日本…",
        "a日本",
        "ABCD",
        "WW…",
    ]


def test_at_most_thirty_changes_are_drawn() -> None:
    many = [(Pair(str(n), share(0.5, 10), share(0.6, 10)), "") for n in range(31)]
    assert len(re.findall('class="db up"', changes(many, percent, (0.9, 1.0), "x"))) == 60
