"""New classes: a model of handwritten digits knows 0 to 7, then 8 and 9 arrive, and one call goes back."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from examples import new_name, verdict
from tsuika import Client


def main() -> None:
    inputs, digits = load_digits(return_X_y=True)
    labels, unseen = digits.astype(str), np.arange(len(digits)) % 5 == 0  # every fifth row is never sent
    old, new = ~unseen & (digits < 8), ~unseen & (digits >= 8)
    with Client() as tsuika:
        model = tsuika.create_model(new_name("digits"), {"kind": "vector", "size": 64, "scale": {"range": [0, 16]}})

        def right() -> str:
            answers = model.predict(inputs[unseen]).predictions
            return f"{np.mean([p.class_ == y for p, y in zip(answers, labels[unseen], strict=True)]):.3f} right"

        print(verdict(model.update(inputs[old], labels[old])))
        print("8 and 9 are not known:", right())
        model.declare("8", "9")
        print(verdict(model.update(inputs[new], labels[new])))
        print("8 and 9 are known:", right())
        model.rollback("only to show it")
        print("rolled back:", right())
        model.promote(2, "8 and 9 were right")
        print("live again:", right())


if __name__ == "__main__":
    main()
