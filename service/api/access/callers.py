"""Who calls: the holder of TSUIKA_KEY, of a stored key, or anybody where no key is asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from service.contract.enums import KeyScope
from service.errors import Forbidden
from service.registry import models
from service.registry.callers.actor import ANONYMOUS
from service.registry.callers.reach import Reach

BOOTSTRAP = "bootstrap key"
"""The caller who holds TSUIKA_KEY."""
EVERYTHING = frozenset(KeyScope)


@dataclass(frozen=True)
class Caller:
    """A caller by name: the id of the key, where it is a stored one. `models`: those that exist for it, None: all."""

    name: str
    scopes: frozenset[KeyScope]
    models: Reach | None = None
    rate: float | None = None

    def may(self, scope: KeyScope) -> bool:
        """Whether the key has the scope."""
        return scope in self.scopes or KeyScope.ADMIN in self.scopes

    def sees(self, model: str) -> bool:
        """Whether the model exists for the key."""
        return self.models is None or model in self.models

    def require(self, any_of: Collection[KeyScope], model: str | None = None) -> None:
        """Raises Forbidden for a key without one of these scopes, whatever the model, and then NotFound for a model
        that does not exist for it, as for one that does not exist."""
        if any_of and self.scopes.isdisjoint(any_of) and KeyScope.ADMIN not in self.scopes:
            raise lacking(self, any_of)
        if model is not None and not self.sees(model):
            raise models.unknown(model)


def lacking(caller: Caller, any_of: Collection[KeyScope]) -> Forbidden:
    """The refusal of a key without the scope that a call needs."""
    needed = " or ".join(scope for scope in KeyScope if scope in any_of)
    has = ", ".join(scope for scope in KeyScope if scope in caller.scopes) or "none"
    return Forbidden(f"This call needs the scope {needed}, and the key {caller.name} has {has}. Use another key.")


HOST = Caller(ANONYMOUS, EVERYTHING)
"""Anybody, where no key is asked for."""
STRANGER = Caller(ANONYMOUS, frozenset(), Reach())
"""Who asks what needs no key."""
OPERATOR = Caller(BOOTSTRAP, EVERYTHING)
