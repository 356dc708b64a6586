"""How many threads PyTorch takes, unless OMP_NUM_THREADS says it."""

import os
from pathlib import Path

import torch

MOST = 4  # these networks are small: beyond that, threads wait for each other
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": two processors of those there are


def processors(quota: Path = QUOTA) -> int:
    """Those that this process may use: a container's share, not all that its machine has."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text("ascii").split()
        return max(1, min(mine, int(share) // int(period)))
    except (OSError, ValueError):  # none, or "max"
        return mine


def use_sensible_threads() -> None:
    """At most MOST, and no more than there are processors; a number that somebody set stays."""
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > (wanted := min(MOST, processors())):
        torch.set_num_threads(wanted)
