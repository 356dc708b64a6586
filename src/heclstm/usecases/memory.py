"""How much memory a process took."""

from __future__ import annotations

from pathlib import Path


def peak_memory() -> int | None:
    """The most memory that this process had in use, in bytes; None where the system does not tell.

    Linux first by VmHWM: getrusage would count the process that started this one, too.
    """
    if (found := _field("self", "VmHWM")) is not None:
        return found * 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def peak_memory_below(process: int) -> int | None:
    """The same of the largest among a process and those that it started; None where there is no /proc."""
    parents = {int(path.name): _field(path.name, "PPid") for path in Path("/proc").glob("[0-9]*")}
    below, before = {process}, 0
    while len(below) > before:
        before = len(below)
        below |= {child for child, parent in parents.items() if parent in below}
    peaks = [found * 1024 for each in below if (found := _field(str(each), "VmHWM")) is not None]
    return max(peaks, default=None)


def _field(process: str, name: str) -> int | None:
    """A number in /proc/PROCESS/status."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)
