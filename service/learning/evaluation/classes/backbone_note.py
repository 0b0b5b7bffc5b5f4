"""Tests once, on a first version, whether its backbone helps: a head on its features beside one on the inputs."""

from __future__ import annotations

import numpy as np

from service.contract.inputs import WIDEST_EXACT, IdentityBackbone, PretrainedBackbone, TextInput
from service.learning.data.rows import SELECT_FOLD
from service.learning.exact.lift_choice import unseen_accuracy
from service.learning.exact.ridge_solver import Ridge
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.headless_networks import examining_network
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import load_scale
from service.learning.run import Run
from service.learning.update_data import Data

LOOKED_AT = 2000
"""Rows, those with the smallest hash."""
LEAST = 30
"""Rows of fold 2 below which there is no note."""
PRIOR = 0.25


def backbone_note(candidate: Checkpoint, data: Data, run: Run) -> str | None:
    """Returns a sentence where the features of a first version's backbone are no better than the scaled input (of
    images: than random convolutions), by balanced accuracy on rows that the heads of both had not seen.

    None where they are better, where too few rows can tell, and for texts, which have no features of their own.
    """
    layout = candidate.layout
    if isinstance(layout.backbone, IdentityBackbone) or isinstance(layout.input, TextInput) or layout.shift is None:
        return None
    order = np.argsort(data.batch.hashes, kind="stable")
    order = order[data.batch.folds[order] >= SELECT_FOLD][:LOOKED_AT]
    rows = data.batch.take(order)
    if int((rows.folds == SELECT_FOLD).sum()) < LEAST or len(rows.present()) < 2:
        return None
    plain = Space.of(examining_network(layout.input, load_scale(layout.input, candidate.parts["scale"])))
    own = Space.of(candidate)
    if max(own.width, plain.width) > WIDEST_EXACT:
        return None
    standing = isinstance(layout.backbone, PretrainedBackbone)
    entry = data.entry(own).take(order) if standing else feature_rows(own, rows, run.silent)
    solver = Ridge(PRIOR)
    with_it = unseen_accuracy(entry, own.shift, solver, run)
    without = unseen_accuracy(feature_rows(plain, rows, run.silent), plain.shift, solver, run)
    if with_it > without:
        return None
    other = "random convolutions of the images" if plain.network.lifts else "the inputs themselves"
    return (
        f"The backbone {layout.backbone.name} does not help: on rows kept back, balanced accuracy is {with_it:.3f} "
        f"with its features and {without:.3f} with {other}. A model with the backbone identity may do better."
    )
