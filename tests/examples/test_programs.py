"""Every example runs to its end against a real service, and says what its page says."""

from __future__ import annotations

import importlib

import pytest

from tests.docs.examples import EXAMPLES
from tests.running import Server

pytestmark = pytest.mark.long
EXPECTED = {
    "digits": ["8 and 9 are known: 0.9", "rolled back: 0.7"],
    "images": ["of 40 new pictures are right"],
    "support_texts": ['"ordr" is not a class', "pay me back -> refund"],
    "prices": ["Rejected: ", "four of five"],
    "drift": ["trusted: all.", "trusted: recent."],
    "from_torch": ["served: ", "unproven"],
}
"""What each prints, among other things."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_says_what_it_shows(
    name: str, shared: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TSUIKA_URL", shared.url)
    importlib.import_module(f"examples.{name}").main()
    output = capsys.readouterr().out
    for sentence in EXPECTED[name]:
        assert sentence in output, output
