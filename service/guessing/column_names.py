"""What columns are called: their names as a model keeps them, each of one column alone; and which say that cells name
things."""

from __future__ import annotations

import re
from collections.abc import Iterable

from service.contract.tables import value_text
from service.guessing.unguessable import Unguessable

NAMES_THINGS = re.compile(
    r"(?:(?:^|[\W_])(?:[iI][dD]|[nN]umber|[cC]ode|No|SKU|sku)|[\W_](?:no|NO)|[nN]r|NR|[nN]ummer|"
    r"[a-z](?:I[dD]|No|Number|Code)|番号|品番|コード)\.?$"
)
"""How a column is called whose numbers are names: machine_id, CustomerID, Artikelnr., zip_code; not acid or casino."""


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
