"""Numbers as people read them, the same in sentences of the service, in the client and on pages."""

from __future__ import annotations

import ctypes


def amount(value: float) -> str:
    """1190.4 -> "1,190", 15.43 -> "15.4", 2.2 -> "2.20", 20.0 -> "20", 0.5 -> "0.5", 1.2e-9 -> "1.2e-09": three digits,
    up to a billion all before the point."""
    value += 0.0  # no minus before a zero
    size = abs(value)
    kept = f"{value:#.3g}" if 1 < size < 99.95 and value % 1 else f"{value:.3g}"
    text = f"{value:,.0f}" if 99.95 <= size < 1e9 else kept
    return text.replace("-", "−", int(value < 0))


def percent(share: float) -> str:
    """0.974 -> "97.4 %"."""
    return f"{100 * share:,.1f} %".replace("-", "−")


def shortest(value: float) -> float:
    """160.5374755859375 -> 160.53748: the shortest number that is the same as a float32, as versions compute."""
    single = ctypes.c_float(value).value
    nearby = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((short for short in nearby if ctypes.c_float(short).value == single), value)


def row_number(row: int) -> str:
    """17 -> "17 (counted from 0)": a row as sentences name it, by the number that JSON, Python and corrections take."""
    return f"{row} (counted from 0)"
