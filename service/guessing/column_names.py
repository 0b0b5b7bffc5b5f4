"""What columns are called: their names as a model keeps them, each of one column alone."""

from __future__ import annotations

from collections.abc import Iterable

from service.contract.tables import value_text
from service.guessing.unguessable import Unguessable


def column_names(names: Iterable[object], form: str) -> list[str]:
    """Names as a model has them: in NFC, without blanks at the ends. form: what has the columns, such as "this frame".
    Raises Unguessable where two have one name."""
    places: dict[str, int] = {}
    for place, written in enumerate(names, 1):
        name = value_text(str(written))
        if name in places:
            raise Unguessable("twice", form=form, column=name, first=places[name], second=place)
        places[name] = place
    return [*places]
