"""How much memory a process took."""

from __future__ import annotations

from pathlib import Path


def peak_memory() -> int | None:
    """The most memory that this process had in use, in bytes; None where the system does not tell.

    Linux first by VmHWM: getrusage would count the process that started this one, too.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
