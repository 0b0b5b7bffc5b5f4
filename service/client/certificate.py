"""Recomputes the digest of a version's ledger from its export, so that a certificate is checked without the service."""

from __future__ import annotations

import hashlib

from service.client.exported import written


def ledger_digest(exported: bytes) -> str:
    """SHA-256, 64 hexadecimal digits, of the sums in the bytes that GET .../versions/{n}/ledger answers with.

    Over these bytes, one after another: the feature-space id as ASCII and a zero byte · M as int64 · the names of the
    classes that have rows, sorted by their UTF-8 bytes, each with a zero byte · n, their rows · for each of them its
    column of Q · the upper triangle of G, row by row. All numbers are little-endian int64.
    """
    import numpy as np
    from safetensors.numpy import load

    facts = written(exported)
    sums = {name: array.astype("<i8") for name, array in load(exported).items()}
    G, Q, n = sums["G"], sums["Q"], sums["n"]
    order = sorted((k for k in range(len(n)) if n[k]), key=lambda k: facts["classes"][k].encode())
    sha = hashlib.sha256(facts["feature_space"].encode() + b"\0")
    sha.update(np.array(len(G) - 1, "<i8").tobytes())
    for k in order:
        sha.update(facts["classes"][k].encode() + b"\0")
    sha.update(n[order].tobytes())
    sha.update(np.ascontiguousarray(Q[:, order].T).tobytes())
    for k, row in enumerate(G):
        sha.update(row[k:].tobytes())
    return sha.hexdigest()
