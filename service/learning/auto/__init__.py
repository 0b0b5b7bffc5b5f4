"""`auto` chooses a method, and its challenger, by a written table. The first match wins; each gives its reason.

The exact head comes first, and a gradient method must beat it: it is chosen at once only where a person asked for a net
that is trained end to end, and otherwise runs afterwards, as a challenger of what already serves. A net that won so
goes on with replay, but each of its updates must beat the exact head of the same rows again, and that head must not
beat it on rows to come; else the head takes over. For one win may be luck, and a net that is patched drifts away from
what won.

lda, branch, lora, si, ewc, lwf, der_pp and icarl are chosen by people, never by auto; den only where old scores shall
keep their bits, and mas only on an imported version, whose rows are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.learning.auto.choice import AutoParams, Choice, Surroundings, Table
from service.learning.auto.class_choice import ClassTable
from service.learning.auto.number_choice import NumberTable
from service.learning.network.checkpoint import Checkpoint
from service.learning.update_data import Data

TABLES: Mapping[type[TargetKind], type[Table]] = {ClassTarget: ClassTable, NumberTarget: NumberTable}


def auto(
    base: Checkpoint | None, data: Data, params: AutoParams | None = None, around: Surroundings | None = None
) -> Choice:
    """Chooses by the table; some row always matches."""
    params, around = params or AutoParams(), around or Surroundings()
    choice = TABLES[type(data.target)](base, data, params, around).choice()
    return choice if params.budget_seconds else replace(choice, challenger=None, challenge="")
