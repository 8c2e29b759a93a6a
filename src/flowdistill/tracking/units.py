"""Format numbers, durations and sizes for people."""

from __future__ import annotations

import math

_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def number(value: float | str) -> str:
    """Format with four significant digits; whole numbers in full. A string such as "nan" is returned unchanged."""
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.3e}"
    return f"{value:#.4g}"


def seconds(value: float) -> str:
    """Format a duration: 45 ms, 12.3 s, 4 min 05 s, 2 h 07 min."""
    if value < 0.9995:
        return f"{value * 1000:#.3g} ms".replace(". ms", " ms")
    if value < 59.95:
        return f"{value:#.3g} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def size(count: int) -> str:
    """Format bytes in powers of 1000: 78.5 MB."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
