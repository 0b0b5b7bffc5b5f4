"""Whether anything in a batch says what its targets are: a ridge of the batch alone, answered out of fold.

With n rows and M features it is solved in rows where they are fewer: with Z the standardised features [n, M] and
K = Z Z', the head of the rows R has the answers K_r (K_R + n_R d I)^-1 (y_R - mean) at the others, all centred on R
(the dual form of ridge: Saunders, Gammerman and Vovk 1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.learning.data.near_duplicates import parted
from service.learning.data.rows import FeatureRows, Floats, Ints, hash_order

ALPHA, PSEUDO_ROWS = 1.0, 5.0
"""Shrinkage, in units of each feature's variance: alpha + pseudo-rows / rows."""
MOST_ROWS = 1000
"""Rows that are asked, smallest hashes first: more would say little more of the batch."""
REACH = 5 * 1.4826
"""Targets farther from the median than so many median deviations, five standard deviations, are cut."""


def cut(goals: Floats) -> Floats:
    """Goals with what is far out cut at `REACH`, so that few outliers do not turn the head. [n, k] -> [n, k]"""
    if not len(goals):
        return goals
    middle = np.median(goals, 0)
    reach = REACH * np.median(np.abs(goals - middle), 0)
    return np.where(reach > 0, np.clip(goals, middle - reach, middle + reach), goals)


def own_answers(batch: FeatureRows, features: int, goals: Floats) -> Floats | None:
    """Answers by a head of the batch without the row's group of folds (k = fold // 2), of goals that are `cut`.

    features: the first columns of a row · goals [n, k]. -> [n, k]; NaN: not asked, a near-duplicate is in another
    group, or nothing is left without the group; None without rows
    """
    if not len(batch):
        return None
    asked = np.sort(hash_order(batch)[:MOST_ROWS])
    rows, calm = batch.take(asked), cut(goals)[asked]
    group = rows.folds // 2
    varied = np.flatnonzero((rows.inputs != rows.inputs[0])[:, :features].any(0))
    Z = rows.inputs.take(varied, 1).astype(np.float64)
    Z -= Z.mean(0)
    Z /= Z.std(0)
    answers = _by_rows(Z, calm, group) if len(Z) <= Z.shape[1] else _by_features(Z, calm, group)
    answers[parted(rows.marks, rows.folds)] = np.nan
    whole = np.full(goals.shape, np.nan)
    whole[asked] = answers
    return whole


def _by_rows(Z: Floats, goals: Floats, group: Ints) -> Floats:
    K, answers = Z @ Z.T, np.full(goals.shape, np.nan)
    for own, rest in _groups(group):
        inner, across = K[np.ix_(rest, rest)], K[np.ix_(own, rest)]
        mean = inner.mean(0)
        across = across - mean - across.mean(1, keepdims=True) + mean.mean()
        inner = inner - mean - mean[:, None] + mean.mean()
        inner[np.diag_indices_from(inner)] += ALPHA * len(rest) + PSEUDO_ROWS
        middle = goals[rest].mean(0)
        answers[own] = middle + across @ np.linalg.solve(inner, goals[rest] - middle)
    return answers


def _by_features(Z: Floats, goals: Floats, group: Ints) -> Floats:
    answers = np.full(goals.shape, np.nan)
    parts = {int(g): Z[group == g] for g in np.unique(group)}
    squares = {g: part.T @ part for g, part in parts.items()}
    total = np.sum([*squares.values()], 0)
    for own, rest in _groups(group):
        n, mean, middle = len(rest), Z[rest].mean(0), goals[rest].mean(0)
        A = total - squares[int(group[own[0]])] - n * np.outer(mean, mean)
        A[np.diag_indices_from(A)] += ALPHA * n + PSEUDO_ROWS
        weight = np.linalg.solve(A, (Z[rest] - mean).T @ (goals[rest] - middle))
        answers[own] = middle + (Z[own] - mean) @ weight
    return answers


def _groups(group: Ints) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Places of the rows of each group, and of all others; none where there are no others."""
    pairs = [(np.flatnonzero(group == g), np.flatnonzero(group != g)) for g in np.unique(group)]
    return [(own, rest) for own, rest in pairs if len(rest)]
