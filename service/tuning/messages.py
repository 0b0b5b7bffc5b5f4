"""What a process beside the one that serves says to its parent: each message a line of JSON, errors of the tree too."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.errors import KINDS, AtFields, ChildFailed, TsuikaError


@dataclass(frozen=True)
class Ready:
    """It takes orders."""


@dataclass(frozen=True)
class Progress:
    """Where its work stands: `done` of `total` steps of a phase.

    loss, kept_loss: the mean loss of the epoch that was the last one to end since the message before, and the loss on
    rows that are kept back, where there are any · epoch: its number, from 1; 0 where none has ended.
    """

    phase: str
    done: int
    total: int
    epoch: int = 0
    loss: float | None = None
    kept_loss: float | None = None


@dataclass(frozen=True)
class Saved:
    """What its work has reached is in the store, so that another attempt can go on from there."""

    digest: str


@dataclass(frozen=True)
class Asks:
    """It asks for what its order left out, and waits for that."""


@dataclass(frozen=True)
class Done:
    """The end of its work, and what came of it."""

    result: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """The end of work that was refused, or that failed."""

    slug: str
    detail: str
    errors: list[tuple[str, str]]
    members: dict[str, Any]

    @classmethod
    def of(cls, error: TsuikaError) -> Refused:
        return cls(error.slug, error.detail, error.errors if isinstance(error, AtFields) else [], error.members)

    def error(self) -> TsuikaError:
        """The error, as the parent raises it."""
        fields = {"errors": [(pointer, detail) for pointer, detail in self.errors]} if self.errors else {}
        return KINDS[self.slug](self.detail, **fields, **self.members)


End = Done | Refused
Message = Ready | Progress | Saved | Asks | End
BY_NAME = {kind.__name__: kind for kind in (Ready, Progress, Saved, Asks, Done, Refused)}


def line_of(message: Message) -> str:
    return json.dumps({type(message).__name__: vars(message)}) + "\n"


def message_of(line: bytes | str) -> Message:
    """Inverse of `line_of`."""
    [(name, members)] = json.loads(line).items()
    return BY_NAME[name](**members)


def end_of(work: Callable[[], dict[str, Any]], log: logging.Logger, failure: str) -> End:
    """Does the work. -> its end, whatever goes wrong. An error that nobody foresaw is a ChildFailed; the log has all of
    it, under the sentence `failure`."""
    try:
        return Done(work())
    except TsuikaError as error:
        return Refused.of(error)
    except Exception as error:
        log.exception(failure)
        return Refused.of(ChildFailed(f"{type(error).__name__}: {error}"[:2000]))
