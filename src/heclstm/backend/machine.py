"""What this process may use of its machine: cores and memory, by affinity, control groups and limits, not by what is
built in. A container with a quota of two cores on a host of 64 has two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from heclstm.errors import ResourceError

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
RESERVED_BYTES = 1_700_000_000  # address space that Go and the threads' heaps reserve, as measured
WORKING_BYTES = 900_000_000  # of Python, and of making a key or encrypting, as measured
THREADS = 24  # that Python, NumPy and Go start beside one for each core
THREADS_LOOKED_AT = 4096  # a larger limit is none in practice
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
    """The most that this process may hold, by control groups, or else what the machine has; None where nobody tells."""
    limits = [_number(folder / name) for folder in _folders("memory") for name in ("memory.max", LIMIT_V1)]
    return min((limit for limit in [*limits, _physical()] if limit is not None), default=None)


def cache_folder() -> Path:
    """Where this user's programs keep what they can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heclstm"


OUTLINE = ".outline"  # what a file there ends with that holds the rest of a program, see `deploy.kept`


def prepared_folder() -> Path | None:
    """Where prepared programs are kept for the next process, see `cpu.stored`; None for a user without a home."""
    try:
        return cache_folder() / "prepared"
    except RuntimeError:  # a container under a number that no user has
        return None


def require_memory(needed: int, place: str) -> None:
    """Raise ResourceError where so many bytes are more than this process may hold, before the system kills it.

    They are an estimate, so what misses a tenth of them may begin.
    """
    allowed, addresses = memory_bytes(), _limit("RLIMIT_AS")
    if allowed is not None and allowed < 0.9 * needed:
        raise ResourceError(
            f"{place}: needs about {needed / 1e9:.1f} GB of memory, and this process may hold {allowed / 1e9:.1f} GB; "
            "allow it more, or take another machine"
        )
    if addresses is not None and addresses < 0.9 * needed + RESERVED_BYTES:
        raise ResourceError(
            f"{place}: needs about {(needed + RESERVED_BYTES) / 1e9:.1f} GB of address space, and `ulimit -v` allows "
            f"{addresses / 1e9:.1f} GB; raise it"
        )


def require_room() -> None:
    """Raise ResourceError where the engine's own runtime could not start, which it would say in hundreds of lines."""
    addresses, threads = _limit("RLIMIT_AS"), _limit("RLIMIT_NPROC")
    if addresses is not None and addresses < RESERVED_BYTES + WORKING_BYTES:
        raise ResourceError(
            f"native engine: `ulimit -v` allows {addresses / 1e9:.1f} GB of address space, expected at least "
            f"{(RESERVED_BYTES + WORKING_BYTES) / 1e9:.1f} GB; raise it (most of that is only reserved)"
        )
    if threads is not None and threads < THREADS_LOOKED_AT and os.getuid() != 0:
        running = _threads_of(os.getuid())
        if running + THREADS + cores() > threads:
            raise ResourceError(
                f"native engine: `ulimit -u` allows this user {threads} threads, of which {running} run; raise it"
            )


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


def _limit(name: str) -> int | None:
    """The soft limit of that name; None where there is none."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    if not hasattr(resource, name):
        return None
    soft, _ = resource.getrlimit(getattr(resource, name))
    return None if soft == resource.RLIM_INFINITY else soft


def _threads_of(user: int) -> int:
    """How many run, as far as /proc tells."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            count += len(os.listdir(folder / "task")) if folder.stat().st_uid == user else 0
        except OSError:
            continue  # it has ended
    return count


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
