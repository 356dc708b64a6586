"""What this process may use of its machine: cores and memory, by affinity, control groups and limits, not by what is
built in. A container with a quota of two cores on a host of 64 has two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
LIMIT_V1 = "memory.limit_in_bytes"  # a number near 2^63 where there is none


def cores() -> int:
    """As many threads as can run at once, at least 1: the affinity mask, and the quota of every control group above."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        count = os.cpu_count() or 1
    quotas = (_quota(*pair) for folder in _folders("cpu") for pair in _quotas(folder))
    return max(1, min([count, *(ceil(quota) for quota in quotas if quota is not None)]))


def memory_bytes() -> int | None:
    """The most that this process may hold, by control groups and `ulimit -v`, or else what the machine has; None where
    nobody tells.
    """
    limits = [_number(folder / name) for folder in _folders("memory") for name in ("memory.max", LIMIT_V1)]
    limits += [_address_space(), _physical()]
    return min((limit for limit in limits if limit is not None), default=None)


def _folders(controller: str) -> Iterator[Path]:
    """The control groups of this process, its own first, then those around it; of version 2 and 1."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        number, _, rest = line.partition(":")
        names, _, place = rest.partition(":")
        if number == "0" and not names:
            root = GROUPS
        elif controller in names.split(","):
            root = next((root for root in (GROUPS / names, GROUPS / controller) if root.is_dir()), GROUPS / controller)
        else:
            continue
        own = root / place.strip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _quotas(folder: Path) -> Iterator[tuple[str, str]]:
    """(quota, period) in microseconds, as they are written."""
    words = _text(folder / "cpu.max").split()
    if len(words) == 2:
        yield words[0], words[1]
    yield _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")


def _quota(quota: str, period: str) -> float | None:
    """In cores; None where there is none: "max", -1, or no file."""
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
