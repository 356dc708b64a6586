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
    """97.5 %; of what is neither 0 nor 1, never 0.0 or 100.0 %, but < 0.1 % and > 99.9 %."""
    edge = 10.0**-digits
    if 0 < share < 1 and not edge / 2 < 100 * share < 100 - edge / 2:
        return decimal(f"< {edge:.{digits}f} %" if share < 0.5 else f"> {100 - edge:.{digits}f} %")
    return decimal(f"{100 * share:.{digits}f} %")
