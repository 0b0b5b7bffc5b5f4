"""Images by transfer: a pretrained network knows what shapes look like, so a dozen pictures a class are enough.

The service needs the extra `vision`: pip install -e '.[vision]'
"""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from examples import new_name, verdict
from tsuika import Client

SIDE = 64
CORNERS = {"triangle": 3, "square": 4, "hexagon": 6}


def drawn(shape: str, chance: random.Random) -> NDArray[np.uint8]:
    """A shape of any colour, place and angle on any ground. uint8 [3, 64, 64]"""
    image = Image.new("RGB", (SIDE, SIDE), tuple(chance.randint(0, 110) for _ in range(3)))
    x, y, size, turn = chance.randint(26, 38), chance.randint(26, 38), chance.randint(16, 24), chance.random() * math.pi
    colour = tuple(chance.randint(150, 255) for _ in range(3))
    if shape == "circle":
        ImageDraw.Draw(image).ellipse((x - size, y - size, x + size, y + size), fill=colour)
    else:
        angles = [turn + 2 * math.pi * k / CORNERS[shape] for k in range(CORNERS[shape])]
        corners = [(x + size * math.cos(a), y + size * math.sin(a)) for a in angles]
        ImageDraw.Draw(image).polygon(corners, fill=colour)
    return np.asarray(image).transpose(2, 0, 1)


def main() -> None:
    chance = random.Random(0)

    def some(shapes: list[str], each: int) -> tuple[NDArray[np.uint8], list[str]]:
        names = [shape for shape in shapes for _ in range(each)]
        return np.stack([drawn(shape, chance) for shape in names]), names

    with Client() as tsuika:
        model = tsuika.create_model(
            new_name("shapes"),
            {"kind": "image", "channels": 3, "height": SIDE, "width": SIDE},
            architecture={"backbone": {"name": "efficientnet_lite0"}},
        )
        print(verdict(model.update(*some(["triangle", "square", "circle"], 12))))
        print(verdict(model.update(*some(["hexagon"], 12), new_classes="allow")))
        images, names = some(["triangle", "square", "circle", "hexagon"], 10)
        answers = [p.class_ for p in model.predict(images).predictions]
        print(f"{sum(a == n for a, n in zip(answers, names, strict=True))} of {len(names)} new pictures are right")


if __name__ == "__main__":
    main()
