"""Bytes, seconds and scores for people."""

from __future__ import annotations

from heclstm.templates.language import decimal


def size(count: int | float | None) -> str:
    """Bytes for people: 663.9 MB."""
    if count is None:
        return ""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return decimal(f"{count / step:.3g} {unit}" if count < 100 * step else f"{count / step:.0f} {unit}")
    return f"{count:.0f} B"


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    return decimal(f"{value:.1f} s") if value >= 1 else f"{1000 * value:.0f} ms"


def signed(value: float, digits: int = 3) -> str:
    """+1.234 or −1.234, with a real minus sign."""
    return decimal(f"{value:+.{digits}f}".replace("-", "−"))


def error(value: float | None) -> str:
    """Signed, with the digits that mean something: +3.1e−04."""
    return "" if value is None else f"{value:+.1e}".replace("-", "−")


def percent(share: float, digits: int = 1) -> str:
    """97.5 %."""
    return decimal(f"{100 * share:.{digits}f} %")
