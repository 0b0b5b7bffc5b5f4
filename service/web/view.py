"""What a page gets, and what it answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.web.client import ApiClient, Sending, Sent
from service.web.upload import Head
from service.web.words import Words


@dataclass(frozen=True)
class View:
    """One request of a page. `params`: what stands in the braces of its route; `form`: fields, where one was sent;
    `sent`: what the API answered to its file; `head`: the beginning of a file that is looked at."""

    api: ApiClient
    words: Words
    params: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)
    sent: Sent | None = None
    head: Head | None = None


@dataclass(frozen=True)
class Shown:
    """A page: a file of `templates/`, what it says, and the address of the same as JSON."""

    template: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    json: str | None = None
    status: int = 200


@dataclass(frozen=True)
class Moved:
    """Another page, once a form has done what it is for. `key`: what the browser signs in with; "": it signs out."""

    to: str
    key: str | None = None


Answer = Shown | Moved
Page = Callable[[View], Answer]
"""Runs in a thread of its own."""


@dataclass(frozen=True)
class Route:
    """An address, {name} for what varies: how it is shown, and what a form that is sent there does. Of a form with a
    file, `sends`: where a file of that name goes; it asks the API nothing; `looks`: `act` looks at its beginning."""

    path: str
    show: Page | None = None
    act: Page | None = None
    sends: Callable[[View, str], Sending] | None = None
    looks: bool = False
