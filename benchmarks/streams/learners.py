"""Who learns a stream: the service by its own updates, joint retraining, published heads. Each gives one record."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from benchmarks.running.workbench import Model
from benchmarks.streams.frozen import remembering
from benchmarks.streams.heads import Floats
from benchmarks.streams.heads import run as run_published
from benchmarks.streams.joint import joint, ridge_head, scaled
from benchmarks.streams.layout import Laid
from benchmarks.streams.streams import Arrival, Rows, Stream
from benchmarks.tables.learned import JOINT, Learned, scored
from service.contract.inputs import Architecture, MlpBackbone
from service.errors import MethodRefused
from service.learning.ledger.feature_space import Space, feature_blocks
from service.learning.methods import AUTO, METHODS
from service.worker.assignment import Result

ON_BACKBONE = (AUTO, "ridge", "lda", "lora")
"""Learn on the stream's backbone, or a model's defaults; the others train joint retraining's network, but where
`unfreeze` is named: then the backbone's own, or with unfreeze=0 a head on it."""
MEMORY_ROWS = 500


def request(words: str, stream: Stream) -> dict[str, Any]:
    """A name, or a name with parameters in JSON behind colons: ridge:lift=["none","conv"].

    Beside its defaults a method gets joint retraining's epochs and 500 kept rows, where it keeps some.
    """
    method, _, more = words.partition(":")
    given = {k: json.loads(v) for k, _, v in (p.partition("=") for p in more.split(":") if p)}
    if method == AUTO:
        return {"name": AUTO, **given}
    asked = {"epochs": stream.epochs, "memory_rows": MEMORY_ROWS}
    fields = METHODS[method].Params.model_fields
    return {"name": method, **{k: v for k, v in asked.items() if k in fields and fields[k].default}, **given}


def by_service(laid: Laid, words: str) -> Learned:
    """The stream, step by step, each version promoted whatever the gate says of it. words: see `request`."""
    wanted = request(words, laid.stream)
    method = wanted["name"]
    on_backbone = method in ON_BACKBONE or "unfreeze" in wanted
    if not on_backbone:
        laid = laid.on_features
    stream = laid.stream
    if on_backbone:
        architecture = Architecture(backbone=stream.backbone) if stream.backbone else None
    else:
        architecture = Architecture(backbone=MlpBackbone(name="mlp", hidden=list(stream.hidden)))
    course, results, seconds = laid.course(), list[Result](), list[float]()
    training = list[float]()
    with Model(stream.input, architecture, secret=b"folds %d" % laid.seed) as model:
        for arrival in laid.arrivals:
            rows, places = arrival.rows, course.asked(stream.keys(arrival.rows))
            began, before = time.process_time(), model.challenge_seconds
            try:
                results.append(
                    model.learn(
                        rows.inputs, rows.labels.tolist(), wanted, laid.seed, promote=True, source=arrival.source
                    )
                )
            except MethodRefused as refused:
                return Learned(stream.name, words, laid.seed, refused=refused.detail)
            seconds.append(time.process_time() - began - (model.challenge_seconds - before))
            training.append(model.method_seconds)
            course.after(*answers(model, laid, laid.test.take(places)))
        return scored(
            stream.name,
            words,
            laid.seed,
            course,
            seconds,
            bytes=sum(s.bytes for s in results[-1].shards),
            kept=model.kept_bytes,
            training_seconds=sum(training),
            numpy_ridge=in_numpy(model, laid) if method == "ridge" and not stream.sourced else None,
            gate=[verdict(r) for r in results],
            chosen=[str(r.method["name"]) for r in results if r.method],
            challenges=model.challenges,
            details={**results[-1].report.method, "challenge_seconds": model.challenge_seconds},
        )


def answers(model: Model, laid: Laid, rows: Rows) -> tuple[list[str], Floats]:
    """Classes and probabilities of rows by the live version; by the head of their domain where that is named."""
    predictor = remembering(model.predictor(), model.checkpoint())
    if not laid.stream.sourced:
        return predictor.names, predictor.probabilities(rows.inputs)
    probabilities = np.zeros((len(rows), len(predictor.names)))
    for domain in np.unique(rows.domain):
        of_domain = rows.domain == domain
        probabilities[of_domain] = predictor.probabilities(rows.inputs[of_domain], source=str(domain))
    return predictor.names, probabilities


def in_numpy(model: Model, laid: Laid) -> float | None:
    """Accuracy of a ridge head over the live version's features, with its strength and prior, in floats."""
    checkpoint = model.checkpoint()
    network, exact = Space.of(checkpoint).network, checkpoint.layout.exact
    if exact is None or exact.alpha is None:
        return None
    labels = np.concatenate([a.rows.labels for a in laid.arrivals])
    inputs = np.concatenate([a.rows.inputs for a in laid.arrivals])
    h, u = (
        np.concatenate([f.double().numpy() for _, f in feature_blocks(network, rows)])
        for rows in (inputs, laid.test.inputs)
    )
    return float((ridge_head(h, labels, exact.alpha, exact.prior).answers(u) == laid.test.labels).mean())


def verdict(result: Result) -> str:
    """live, or what it was stopped by: "rejected by 5 forgets"."""
    gate = result.report.gate
    fired = [r for r in gate.rules if r.severity == "rejected"] or [r for r in gate.rules if r.severity]
    return f"{fired[0].severity} by " + ", ".join(f"{r.number} {r.name}" for r in fired) if fired else "live"


def by_joint(laid: Laid) -> Learned:
    """After each step one network is trained anew on all rows so far (small batches: after the last one only)."""
    laid = laid.on_features
    stream, course, seconds, size = laid.stream, laid.course(), list[float](), 0
    for t, arrival in enumerate(laid.arrivals):
        places = course.asked(stream.keys(arrival.rows))
        if stream.kind == "small" and t + 1 < len(laid.arrivals):
            continue
        retrained = joint(stream, together(laid.arrivals[: t + 1]), laid.test.take(places), laid.seed)
        course.after(list(retrained.names), retrained.probabilities)
        seconds.append(retrained.seconds)
        size = retrained.bytes
    return scored(stream.name, JOINT, laid.seed, course, seconds, bytes=size, kept=size)


def by_published(laid: Laid, name: str) -> Learned:
    """A published head on the scaled inputs, or on the backbone's features as they are."""
    course, backbone = laid.course(), laid.stream.backbone is not None
    laid = laid.on_features
    first = laid.arrivals[0].rows.inputs
    if backbone:
        batches, test = [a.rows for a in laid.arrivals], laid.test.inputs
    else:
        batches = [Rows(scaled(laid.stream, a.rows.inputs, first), a.rows.labels) for a in laid.arrivals]
        test = scaled(laid.stream, laid.test.inputs, first)
    places = [course.asked(laid.stream.keys(a.rows)) for a in laid.arrivals]
    published, course = run_published(name, batches, [np.asarray(test[p], np.float64) for p in places]), laid.course()
    for arrival, names, scores in zip(laid.arrivals, published.names, published.scores, strict=True):
        course.asked(laid.stream.keys(arrival.rows))
        course.after(names, scores)
    return scored(
        laid.stream.name, name, laid.seed, course, published.seconds, bytes=published.bytes, kept=published.bytes
    )


def together(arrivals: list[Arrival]) -> Rows:
    """All their rows."""
    return Rows(
        np.concatenate([a.rows.inputs for a in arrivals]),
        np.concatenate([a.rows.labels for a in arrivals]),
        np.concatenate([a.rows.domain for a in arrivals]),
    )
