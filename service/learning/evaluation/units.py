"""Units that are taken for one another, in targets and in columns of inputs.

Kelvin is not among them: it is a shift alone, and so is what a stream does that moves, or a number that counts on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A unit taken for another. What was meant is `times` what was sent, and `plus`."""

    factor: str
    wrong: str
    right: str
    times: float
    plus: float = 0.0


_CELSIUS, _FAHRENHEIT = "degrees Celsius", "degrees Fahrenheit"
TEMPERATURES = (
    Mistake("°C to °F", f"look like {_CELSIUS}", f"as {_FAHRENHEIT}", 1.8, 32.0),
    Mistake("°F to °C", f"look like {_FAHRENHEIT}", f"as {_CELSIUS}", 1 / 1.8, -32 / 1.8),
)
