"""Versions of tables are imported as they were exported: with their columns, their scale and the values they know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from service.contract.inputs import Architecture, MlpBackbone
from service.contract.tables import TableInput
from service.errors import InvalidContent
from service.intake.formats.safetensors_file import read_weights
from service.learning.methods import resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.imported import Foreign, imported
from service.learning.run import Run
from service.learning.update import learn
from service.serving.predictor import Predictor
from tests.learning.memory_data import MemoryData
from tests.learning.table_streams import CITY, LATE, SHOP, class_rows, shop

ROWS = shop(9, seed=4, cities=("Oslo", LATE))


@pytest.fixture(scope="module")
def exported() -> Checkpoint:
    data = MemoryData(SHOP, Architecture(), [], class_rows("bat_0", shop(80)))
    return learn(None, data, *resolve({"name": "ridge", "lift": "none"}), Run()).checkpoint


def foreign(version: Checkpoint, **changes: Any) -> Foreign:
    tensors = {f"{p}/{n}": t.numpy() for p, ts in version.parts.items() for n, t in ts.items()} | changes
    kept = {name: array for name, array in tensors.items() if array is not None}
    return Foreign(kept, version.classes, version.layout.model_dump(mode="json"))


def table(columns: list[Any]) -> TableInput:
    return TableInput.model_validate({"kind": "table", "columns": columns, "indicators": SHOP.indicators})


def nowhere(_: object) -> Any:
    raise AssertionError


def test_an_exported_version_answers_the_same_and_knows_its_values(exported: Checkpoint) -> None:
    came = imported(foreign(exported), SHOP, nowhere)
    assert np.allclose(Predictor(came).answer(ROWS).values, Predictor(exported).answer(ROWS).values, atol=1e-6)
    assert came.learned_values().codes[CITY].tolist() == exported.learned_values().codes[CITY].tolist()


def test_the_bytes_of_an_exported_version_are_read_as_they_were_written(exported: Checkpoint) -> None:
    sent = foreign(exported)
    read = read_weights(save({name: np.array(array, order="C") for name, array in sent.tensors.items()}))
    came = imported(replace(sent, tensors=read.tensors), SHOP, nowhere)
    for part in ("scale", "values"):
        assert came.parts[part].keys() == exported.parts[part].keys()
        for name, tensor in exported.parts[part].items():
            assert came.parts[part][name].dtype == tensor.dtype
            assert torch.equal(came.parts[part][name], tensor), "to the last bit: a code of 52 bits is no float32"


def test_what_does_not_fit_is_refused(exported: Checkpoint) -> None:
    for changes, said in [
        ({f"values/{CITY}": None}, 'The part "values"'),
        ({f"values/{CITY}": np.zeros((2, 2))}, 'The part "values"'),
        ({f"values/{CITY}": np.array([np.nan])}, 'The part "values"'),
        ({"values/lacked": np.array([99.0])}, 'The part "values"'),
        ({"scale/knots": None}, "knots"),
        ({"scale/knots": np.zeros((3, 2))}, "do not fit together"),
        ({"scale/mean": np.zeros(9)}, '"scale/mean"'),
        ({"scale/salt": np.array([1, 2])}, '"scale/salt"'),
        ({"scale/std": np.zeros(1)}, "must be > 0"),
    ]:
        with pytest.raises(InvalidContent, match=said):
            imported(foreign(exported, **changes), SHOP, nowhere)


def test_other_columns_and_plain_weights_are_refused_with_the_remedy(exported: Checkpoint) -> None:
    columns = [column.model_dump() for column in SHOP.columns]
    columns[0]["name"] = "weight"
    other = table(columns)
    first, names = SHOP.columns[0], [column.name for column in SHOP.columns]
    numbers = [{"name": name, "kind": "number"} for name in names]
    for spec, said in (
        (other, f'The file alone has "{first.name}". This model alone has "weight". To take it in, make a model with'),
        (table(columns[1:]), f'The file alone has "{first.name}". To take it in'),
        (table([*SHOP.model_dump()["columns"]][::-1]), "not those of this model. They stand in another order. To"),
        (table(numbers), f'Described in another way: "{names[1]}"'),
        (SHOP.model_copy(update={"indicators": 2 * SHOP.indicators}), "They count in another number of indicators. To"),
    ):
        with pytest.raises(InvalidContent, match="The columns of the file's table") as refused:
            imported(foreign(exported), spec, nowhere)
        assert said in refused.value.detail
    plain = Foreign({}, ("a", "b"), architecture=Architecture(backbone=MlpBackbone(name="mlp")))
    with pytest.raises(InvalidContent, match="Import a version as it was exported"):
        imported(plain, SHOP, nowhere)
