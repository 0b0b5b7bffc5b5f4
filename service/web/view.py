"""What a page gets, and what it answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from service.contract.resources import Model
from service.web.client import ApiClient, Refused, Sending, Sent, address
from service.web.forms import faults
from service.web.upload import Head
from service.web.words import Words


@dataclass(frozen=True)
class View:
    """One request of a page. `params`: what stands in the braces of its route; `form`: fields, where one was sent;
    `sent`: what the API answered to its file; `head`: the beginning of a file that is looked at; `faults`: what is
    wrong with a form that was sent there, by field, and the `status` of that; `calls`: those of its route."""

    api: ApiClient
    words: Words
    params: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)
    sent: Sent | None = None
    head: Head | None = None
    faults: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    calls: Sequence[str] = ()

    def path(self, *parts: str | int) -> str:
        """The address in the API of the model of the page, and of what it has."""
        return address("models", self.params["model"], *parts)

    def model(self) -> Model:
        """The model of the page. Raises Refused."""
        return self.api.get(self.path(), Model)

    def same(self, path: str, **query: str | int) -> str:
        """The address of a list as JSON from where the page shows it, with that query."""
        asked = ({"cursor": self.query["cursor"]} if "cursor" in self.query else {}) | query
        return f"{path}?{urlencode(asked)}" if asked else path

    def wrong(self, faults: Mapping[str, str], status: int = 422) -> View:
        """The same after a form that was not taken."""
        return replace(self, faults=faults, status=status)


@dataclass(frozen=True)
class Shown:
    """A page: a file of `templates/`, what it says, and the address of the same as JSON; what it has beside
    that has its address in `parts`, by what it is; `calls`: of the API that its form makes."""

    template: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    json: str | None = None
    status: int = 200
    parts: Mapping[str, str] = field(default_factory=dict)
    calls: Sequence[str] = ()


@dataclass(frozen=True)
class Moved:
    """Another page, once a form has done what it is for. `key`: what the browser signs in with; "": it signs out."""

    to: str
    key: str | None = None


Answer = Shown | Moved
Page = Callable[[View], Answer]
"""Runs in a thread of its own."""


def asks_again(ask: Page) -> Callable[[Page], Page]:
    """Makes a page show `ask` where the API refuses its form, with what is wrong beside the fields."""

    def of(act: Page) -> Page:
        @wraps(act)
        def page(view: View) -> Answer:
            try:
                return act(view)
            except Refused as refused:
                return ask(view.wrong(faults(refused.problem), refused.problem.status))

        return page

    return of


@dataclass(frozen=True)
class Route:
    """An address, {name} for what varies: how it is shown, and what a form that is sent there does. Of a form with a
    file, `sends`: where a file of that name goes, None where something is asked first; it asks the API nothing;
    `looks`: `act` looks at its beginning, also of one that was sent. `calls`: what a form there asks of the API,
    "POST /v1/keys", by whose scopes it and links to it are shown or not; `reads`: what the page itself asks, by whose
    scopes links to it are."""

    path: str
    show: Page | None = None
    act: Page | None = None
    sends: Callable[[View, str], Sending | None] | None = None
    looks: bool = False
    calls: Sequence[str] = ()
    reads: Sequence[str] = ()
