"""The page on operations and the alerts name figures that are there, and all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from service.api.routes.around import _families
from service.worker.parent import figures
from tests.api.conftest import Api

DOCS = Path(__file__).parents[2] / "docs"
PAGE, RULES = (DOCS / "operations.md").read_text(), yaml.safe_load((DOCS / "tsuika.rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
FIGURE = re.compile(r"\b(?:tsuika|process)_[a-z_]+\b")
ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


@pytest.fixture
def exposed(api: Api) -> dict[str, str]:
    """Figure -> its kind, of a service and its worker, counted or not."""
    assert figures.UPDATES
    return {family.name: family.kind for family in _families(api.door.context)}


def test_the_page_has_a_line_for_each_figure_and_no_other(exposed: dict[str, str]) -> None:
    table = PAGE.partition("| figure |")[2].partition("\n\n")[0]
    shown = [name for line in table.splitlines() for name in FIGURE.findall(line.split("|")[1]) if "|" in line]
    assert sorted(shown) == sorted(exposed)


def test_each_alert_is_about_figures_that_are_there_and_stands_on_the_page(exposed: dict[str, str]) -> None:
    there = {name + ending for name, kind in exposed.items() for ending in ENDINGS[kind]}
    for alert in ALERTS:
        named = set(FIGURE.findall(alert["expr"]))
        assert named <= there, alert
        assert named or alert["expr"].startswith("up{"), alert
        assert alert["labels"]["severity"] in ("page", "ticket"), alert
        assert alert["annotations"]["summary"], alert
        assert alert["expr"].count("(") == alert["expr"].count(")"), alert
        assert f"`{alert['alert']}`" in PAGE, alert


def test_the_dashboard_shows_figures_that_are_there(exposed: dict[str, str]) -> None:
    panels = json.loads((DOCS / "tsuika.dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(asked) > len(panels)
    there = {name + ending for name, kind in exposed.items() for ending in ENDINGS[kind]}
    assert {name for expression in asked for name in FIGURE.findall(expression)} <= there


def test_the_page_explains_no_alert_that_is_not_there() -> None:
    table = PAGE.partition("| alert |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(Tsuika\w+)`", table)) == {alert["alert"] for alert in ALERTS}
