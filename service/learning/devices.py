"""Devices by name: which there are, and what is asked of one while an update runs there.

What is promised to the bit is promised for one device: others round and sum in another order. Numbers are drawn on the
CPU, so the order of rows is the same on all.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from service.errors import DeviceMissing, ImpossibleSettings

CPU = torch.device("cpu")


def devices() -> list[str]:
    """Names of the devices that are here, the fastest first."""
    gpus = [f"cuda:{k}" for k in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def whole(name: str) -> str:
    """The name of a device with its number: cuda is cuda:0."""
    return "cuda:0" if name == "cuda" else name


def device_named(name: str) -> torch.device:
    """The device of that name; auto: the fastest that is here. Raises DeviceMissing, which names those that are."""
    here = devices()
    place = here[0] if name == "auto" else whole(name)
    if place not in here:
        raise DeviceMissing(f"There is no device {name} here. There is {', '.join(here)}; auto takes {here[0]}.")
    return torch.device(place)


def require(device: str, others: Sequence[str]) -> None:
    """Raises ImpossibleSettings where the device of the settings, or another that updates may name, is not here."""
    for name in (device, *others):
        try:
            device_named(name)
        except DeviceMissing as missing:
            setting = "DEVICE" if name == device else "UPDATE_DEVICES"
            raise ImpossibleSettings(f"TSUIKA_{setting} cannot be used: {missing.detail}") from None


def described(device: torch.device) -> str:
    """A device with the name of its kind, by which somebody knows whether another would round alike."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Meanwhile what is computed on an accelerator has the same bits each time, as far as torch has such a form of it;
    of what it has none for, it warns. Convolutions are those of float32. On a CPU all that is so anyway."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if device.type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a product is first asked for
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def release(device: torch.device) -> None:
    """Gives the memory of what is no longer used on an accelerator back to it."""
    if device.type == "cpu":
        return
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def full(error: Exception) -> bool:
    """Whether it says that the memory of a device is full: mps and the libraries of CUDA have no class for that."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in ("MPS backend out of memory", "CUDA out of memory", "STATUS_ALLOC_FAILED")
    )


def memory(device: torch.device) -> str:
    if device.type != "cuda":
        return f"The memory of {device} is full"
    free, total = torch.cuda.mem_get_info(device)
    return f"The memory of {described(device)} is full ({free / 2**20:,.0f} of {total / 2**20:,.0f} MiB are free)"


@contextmanager
def placed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Meanwhile the tensors of a module are on the device, and no gradient is asked of them; afterwards it has the very
    tensors that it had, which others may share."""
    if device.type == "cpu":
        yield
        return
    homes = [(home, name, tensor) for home in _homes(module) for name, tensor in home.items() if tensor is not None]
    try:
        for home, name, tensor in homes:
            home[name] = tensor.detach().to(device)
        yield
    finally:
        for home, name, tensor in homes:
            home[name] = tensor


def _homes(module: nn.Module) -> Iterator[dict[str, Tensor | None]]:
    for part in module.modules():
        yield part._parameters  # type: ignore[misc]
        yield part._buffers
