"""A second device for tests: "beside:0", whose tensors are computed on the CPU and mix with none that are there.

It is torch's place for devices from outside (PrivateUse1), with Python as its backend. An operation that takes a tensor
of the CPU beside one of the device would fail on a real one (a number and the places of an index may stay there), and
so would one in double precision, which not every device has: `Beside.wrong` lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._pytree import tree_map

NAME = "beside"
aten = torch.ops.aten
CROSSING = {aten._to_copy.default, aten.copy_.default, aten._copy_from.default}
"""Operations that bring tensors from one device to another."""
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}
"""Operations whose places may be tensors of the CPU."""

_HELD: Any = torch.Tensor.data


class Beside(torch.Tensor):
    """A tensor of the device. raw: where its numbers are · asked: how often each operation was · wrong: what would have
    failed on a real one; raised here, it would end the process."""

    raw: Tensor
    asked: ClassVar[Counter[str]] = Counter()
    wrong: ClassVar[list[str]] = []

    @staticmethod
    def __new__(cls, raw: Tensor) -> Beside:
        made: Beside = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            layout=raw.layout,
            device=torch.device(NAME, 0),
        )
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        cls.asked[str(func)] += 1
        if func not in CROSSING:
            checked = args[:1] + args[2:] if func in INDEXED else args
            tree_map(lambda one: _look_for_elsewhere(func, one), (checked, kwargs))
        away = "device" in kwargs and torch.device(kwargs["device"] or NAME).type != NAME
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if "pin_memory" in kwargs:
            kwargs["pin_memory"] = False
        made = func(*tree_map(_raw, list(args)), **tree_map(_raw, kwargs))
        if away:
            return made.clone() if isinstance(args[0], Beside) and made is args[0].raw else made
        changed = {id(one.raw): one for one in _flat(args, kwargs) if isinstance(one, Beside)}
        crosses_back = func in CROSSING and not isinstance(args[0], Beside) and func is not aten._to_copy.default
        if crosses_back:
            return args[0]
        return tree_map(lambda one: _wrapped(one, changed), made)

    @property
    def data(self) -> Tensor:
        held: Tensor = _HELD.__get__(self)
        return held

    @data.setter
    def data(self, value: Beside) -> None:
        _HELD.__set__(self, value)
        self.raw = value.raw

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Beside({self.raw!r})"


def _flat(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    leaves: list[Any] = []
    tree_map(leaves.append, (list(args), kwargs))
    return leaves


def _raw(one: Any) -> Any:
    return one.raw if isinstance(one, Beside) else one


def _wrapped(one: Any, changed: Mapping[int, Beside]) -> Any:
    if not isinstance(one, Tensor):
        return one
    if id(one) in changed:
        return changed[id(one)]
    if one.dtype == torch.float64:
        Beside.wrong.append(f"a tensor {tuple(one.shape)} of float64")
    return Beside(one)


def _look_for_elsewhere(func: Any, one: Any) -> None:
    if isinstance(one, Tensor) and not isinstance(one, Beside) and one.ndim:
        Beside.wrong.append(f"{func} takes a tensor {tuple(one.shape)} of the CPU beside one of {NAME}")


def _empty(size: Sequence[int], dtype: Any = None, memory_format: Any = None, **_: Any) -> Tensor:
    kind = dtype or torch.get_default_dtype()
    return _wrapped(torch.empty(size, dtype=kind, memory_format=memory_format or torch.contiguous_format), {})


def _empty_strided(size: Sequence[int], stride: Sequence[int], dtype: Any = None, **_: Any) -> Tensor:
    return _wrapped(torch.empty_strided(size, stride, dtype=dtype or torch.get_default_dtype()), {})


def _arange(*bounds: Any, dtype: Any = None, **_: Any) -> Tensor:
    return _wrapped(torch.arange(*bounds, dtype=dtype), {})


class _Module(backend_registration._DummyBackendModule):
    """What torch asks of a device before it draws numbers elsewhere."""

    def get_rng_state(self, _: Any = None) -> Tensor:
        return torch.zeros(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, _: Any = None) -> None:
        """It has no generator."""


backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())  # before anything asks for a gradient
_library = torch.library.Library("aten", "IMPL")
for _name, _made in (
    ("empty.memory_format", _empty),
    ("empty_strided", _empty_strided),
    *((name, _arange) for name in ("arange", "arange.start", "arange.start_step")),
):
    _library.impl(_name, _made, "PrivateUse1")


@contextmanager
def beside() -> Iterator[torch.device]:
    """The device; meanwhile modules that are brought there keep their parameters, as they do on a real one."""
    Beside.wrong.clear()
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        yield torch.device(NAME, 0)
        assert not Beside.wrong, Beside.wrong[:5]
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
