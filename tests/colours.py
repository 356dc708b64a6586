"""The colours of pages, as their style says them, and how well one is read on another."""

import re

import numpy as np

from import_graph import SOURCE

STYLE = SOURCE / "heclstm" / "templates" / "shared" / "style.css"


def palettes():
    """In light, in dark, in print: name → colour."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.S)
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def parts_of(colour):
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def mixed(colour, ground, share):
    """A colour that is not opaque, on a ground."""
    pairs = zip(parts_of(colour), parts_of(ground), strict=True)
    return "#" + "".join(f"{round(share * one + (1 - share) * other):02x}" for one, other in pairs)


def luminance(colour):
    """After WCAG 2.2."""
    parts = [part / 255 for part in parts_of(colour)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one, other):
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)
