"""Bytes → other bytes: bits, numbers, words of the format, cuts, copies, pieces of another seed; JSON by its values."""

from __future__ import annotations

import json
import struct
from copy import deepcopy
from random import Random

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
JSON_VALUES = (
    None, True, False, 0, 1, -1, 2, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.0, 1e300, float("nan"), float("inf"), "",
    "x", "\x1b[2J", "\ud800", "a" * 64, "0" * 32, "A" * 5000, [], {}, [[]], [[[[[[[]]]]]]], {"a": {"b": {}}}, [0] * 300,
)  # fmt: skip


def mutated(content: bytes, rng: Random, words: tuple[bytes, ...] = (), others: tuple[bytes, ...] = ()) -> bytes:
    """One to four changes. words: of the format. others: seeds to take pieces of."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(9):
            case 0 if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case 1 if place < len(changed):
                changed[place] = rng.randrange(256)
            case 2:
                size, number = rng.choice((1, 2, 4, 8)), rng.choice(NUMBERS)
                number = rng.choice((number, len(changed), len(changed) - place)) % (1 << 8 * size)
                changed[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
            case 3:
                del changed[place : place + rng.randint(1, 64)]
            case 4:
                changed[place:place] = changed[place : place + rng.randint(1, 64)]
            case 5 if words:
                word = rng.choice(words)
                changed[place : place + rng.choice((0, len(word)))] = word
            case 6 if others:
                other = rng.choice(others)
                start = rng.randrange(len(other) + 1)
                changed[place : place + rng.randint(0, 64)] = other[start : start + rng.randint(1, 256)]
            case 7:
                del changed[place:]
            case _:
                changed[place : place + 4] = struct.pack("<f", rng.choice((0, -1, 1e38, float("nan"), float("inf"))))
    return bytes(changed[: 4 * len(content) + 1024])


def mutated_json(content: bytes, rng: Random) -> bytes:
    """One to three values of a document replaced, removed, doubled, or moved; still JSON, but for NaN and the like."""
    document = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(document))
        if not places:
            break
        holder, key = rng.choice(places)
        match rng.randrange(5):
            case 0 if isinstance(holder, dict):
                holder[rng.choice((f"{key}x", "", "\x1b[2J", "version", str(key).upper()))] = holder.pop(key)
            case 1:
                del holder[key]
            case 2 if isinstance(holder, list):
                holder.extend(deepcopy(holder[key]) for _ in range(rng.choice((1, 2, 70))))
            case 3:
                other, name = rng.choice(places)
                holder[key] = deepcopy(other[name])
            case _:
                holder[key] = deepcopy(_near(holder[key], rng))
    return json.dumps(document).encode()[: 1 << 16]


def _near(value: object, rng: Random) -> object:
    """Something else: often of the same type, since other types are refused at once."""
    if isinstance(value, bool) or rng.random() < 0.3:
        return rng.choice(JSON_VALUES)
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, -value, 2 * value, value // 2, value + 0.5, 0, 2**53, 10**20))
    if isinstance(value, float):
        return rng.choice((-value, value * 1e9, value / 1e9, 0.0, 1e308, value + 1.0))
    if isinstance(value, str):
        return rng.choice((value[:-1], value + "0", value.upper(), value[::-1], value * 50, value + "\n"))
    return rng.choice(JSON_VALUES)


def _places(value: object):
    """(holder, key) of every value below this one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)
