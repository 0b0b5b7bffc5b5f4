"""Tensors that begin at a multiple of 64 bytes, as those that torch makes do. MKL adds up in another order where a
matrix begins elsewhere, as arrays of numpy may: one question would be answered with other last bits the next time."""

from __future__ import annotations

import torch
from torch import Tensor

BYTES = 64
"""What torch aligns its memory to, and what MKL asks for to give the same bits each time."""


def aligned(x: Tensor) -> Tensor:
    """The tensor, or a copy of it that is aligned."""
    return x if x.data_ptr() % BYTES == 0 else x.clone(memory_format=torch.contiguous_format)
