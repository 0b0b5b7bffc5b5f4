"""Counts what an update cost, beside joint retraining: multiply-adds from shapes, not timed."""

from __future__ import annotations

import time

import torch

from service.contract.inputs import (
    Architecture,
    Backbone,
    CnnBackbone,
    IdentityBackbone,
    ImageInput,
    InputSpec,
    MlpBackbone,
    PretrainedBackbone,
)
from service.contract.reports.facts import Cost
from service.learning.backbones import facts_of, resolved
from service.learning.data.serialization import pack_shard
from service.learning.method import Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import InputScale
from service.learning.network.network import forward_cost, fresh
from service.learning.run import Run
from service.learning.update_data import Data

LEARNING_SHARE = 0.7
"""Share of all rows that are learned: folds 3-9 of 0-9."""


def cost_of(
    base: Checkpoint | None,
    learned: Learned,
    data: Data,
    *,
    started: float,
    wait_seconds: float,
    retraining: int | None,
) -> Cost:
    """`started`: by the performance counter · `retraining`: multiply-adds of joint retraining, see below."""
    candidate = learned.checkpoint
    before = base.parts if base else {}
    replaced = {pack_shard(tensors) for part, tensors in before.items() if candidate.parts.get(part) is not tensors}
    made = {pack_shard(tensors) for part, tensors in candidate.parts.items() if before.get(part) is not tensors}
    return Cost(
        seconds=time.perf_counter() - started,
        wait_seconds=wait_seconds,
        rows=len(data.batch),
        parameters_added=candidate.parameters - (base.parameters if base else 0),
        bytes_added=sum(map(len, made - replaced)),
        share_of_retraining=learned.multiply_adds / retraining if retraining else None,
        multiply_adds=learned.multiply_adds,
    )


def retraining_cost(base: Checkpoint | None, data: Data, epochs: int) -> int:
    """Counts the multiply-adds of joint training on every learned row: forward, and twice that backward, each epoch.
    Through a pretrained backbone each row passes once.

    They are those of the network that joint retraining would train (`joint_backbone`), for every method alike: beside a
    linear head on the scaled input, which nobody would retrain, every update looks dear.
    """
    known = sorted({*(base.classes if base else ()), *data.batch.names})
    rows = data.known_rows + len(data.batch)
    backbone = joint_backbone(data.input, data.architecture)
    if isinstance(backbone, PretrainedBackbone):
        held = base.parts.get("backbone.0") if base is not None else None
        width, work = facts_of(resolved(data.input, backbone), lambda: held or data.pretrained())
        return int(work * rows + 3 * width * len(known) * epochs * rows * LEARNING_SHARE)
    scale = InputScale(torch.zeros(()), torch.ones(()))
    network = fresh(data.input, Architecture(backbone=backbone), scale, known, Run().generator())
    return int(3 * forward_cost(network) * epochs * rows * LEARNING_SHARE)


def joint_backbone(spec: InputSpec, architecture: Architecture) -> Backbone:
    """Returns what joint retraining trains: the model's own network; where it names none, a cnn for images, else an
    mlp."""
    if not isinstance(architecture.backbone, IdentityBackbone):
        return architecture.backbone
    return CnnBackbone(name="cnn") if isinstance(spec, ImageInput) else MlpBackbone(name="mlp")
