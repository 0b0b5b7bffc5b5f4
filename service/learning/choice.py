"""`auto`: the written table by which a method is chosen. First match wins; each row says why.

The exact head comes first; a gradient method is chosen only where a net was trained end to end.
"""

from __future__ import annotations

from typing import Any

from service.contract.inputs import IdentityBackbone
from service.learning.checkpoint import Checkpoint
from service.learning.method import Data

FEW_NEW = 5
"""Learning rows of the rarest new class below which covariances are shared and shrunk."""
FEW_KNOWN = 20
"""Rows a class below which only the head of a trained net is touched."""


def auto(base: Checkpoint | None, data: Data) -> tuple[dict[str, Any], str]:
    """-> the method to use, by name, and the reason."""
    network = data.architecture.backbone.name
    if base is None and network != "identity":
        return {"name": "retrain"}, f"auto: a first version of a model that names a backbone; its {network} is trained."
    if base is None:
        return {"name": "ridge"}, (
            "auto: a first version without a pretrained backbone; the exact head on the lift that does best on rows "
            "kept back for choosing."
        )
    counts = data.batch.counts()
    new = {name: n for name, n in counts.items() if name not in base.classes}
    trained = base.layout.trained and not isinstance(base.layout.backbone, IdentityBackbone)
    if new and min(new.values()) < FEW_NEW:
        rarest = min(new, key=lambda name: (new[name], name))
        return {"name": "lda"}, (
            f'auto: "{rarest}" is new and has {new[rarest]} rows; one shrunk covariance for all classes is safest.'
        )
    if new:
        return {"name": "ridge"}, "auto: new classes on features that stand still; the exact head forgets nothing."
    if trained and min(counts.values()) < FEW_KNOWN:
        return {"name": "linear_probe"}, (
            f"auto: known classes, and fewer than {FEW_KNOWN} rows of some; only the head of the trained net moves."
        )
    if trained and data.known_rows:
        return {"name": "replay"}, "auto: known classes, a trained net, and old rows are kept; they are learned again."
    if trained:
        return {"name": "l2_sp"}, (
            "auto: known classes, a trained net, and no old row is kept; weights are held near where they were."
        )
    return {"name": "ridge"}, "auto: known classes on features that stand still; the exact head over everything."
