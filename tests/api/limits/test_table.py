"""GET /v1/limits, and the page that describes the limits, show them as the code has them."""

from __future__ import annotations

from service.api.limits.table import ROWS, limits_of
from service.api.problems import STATUS
from service.contract.body_limits import BodyLimits
from service.settings import PREFIX, Settings
from tests.api.conftest import MakeApi
from tests.docs.limits import limits_table
from tests.running import ROOT

PAGE = (ROOT / "docs" / "limits.md").read_text()


def test_the_limits_are_told_as_the_settings_have_them(make_api: MakeApi) -> None:
    limits = {limit["name"]: limit for limit in make_api(max_body_bytes=4096).ok("GET", "/v1/limits")["items"]}
    assert len(limits) == len(ROWS)
    assert (limits["body"]["value"], limits["body"]["setting"]) == (4096, "TSUIKA_MAX_BODY_BYTES")
    assert (limits["body"]["unit"], limits["body"]["status"]) == ("bytes", 413)
    assert (limits["top"]["value"], limits["top"]["setting"]) == (1000, None)


def test_a_refusal_has_a_status_of_one_and_a_limit_a_setting_or_a_reason_for_none() -> None:
    statuses = {*STATUS.values(), *OTHER_STATUSES}
    assert {row.status for row in ROWS} <= statuses | {None}
    lowered = {row.name for row in ROWS if row.fixed is not None and isinstance(row.value, str)}
    assert {row.value for row in ROWS if row.name in lowered} == set(BodyLimits.model_fields)
    others = [row for row in ROWS if row.name not in lowered]
    assert [row.name for row in others if (row.fixed is None) != isinstance(row.value, str)] == []
    named = {limit.setting for limit in limits_of(Settings())} - {None}
    assert named <= {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def test_the_page_shows_every_limit() -> None:
    assert limits_table() in PAGE, f"docs/limits.md wants this table:\n{limits_table()}"


OTHER_STATUSES = {431}
"""Statuses of refusals of the connection itself."""
