"""Take into found/ what guided searches kept: of each reason to refuse, and of what is read, the smallest.

    PYTHONPATH=src:tests python -m hostile.fuzz.keep build/fuzz

What is in found/ already stays. For Go's fuzzer, the folder of a target's finds in the cache of builds is copied into
native/testdata/fuzz/ by hand (docs/faults.md).
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from hostile.fuzz.run import kind, tried
from hostile.fuzz.targets import FOUND, TARGETS, Target

FILES_MAX = 32  # of a target
BYTES_MAX = 4096  # of a file
READ_MAX = 4


def smallest(target: Target, contents: list[bytes]) -> list[bytes]:
    """Of each reason that found/ does not hold yet the smallest, and a few that are read."""
    known = {_reason(target, content) for content in target.found}
    room = FILES_MAX - len(target.found)
    read, chosen = READ_MAX, list[bytes]()
    for content in sorted(contents, key=lambda content: (len(content), content)):
        reason = _reason(target, content)
        if len(content) >= BYTES_MAX or content in target.seeds or reason in known:
            continue
        if reason == "":
            read -= 1
            if read < 0:
                continue
        else:
            known.add(reason)
        chosen.append(content)
    return chosen[:room]


def _reason(target: Target, content: bytes) -> str:
    """Without what is quoted of it; empty if it is read."""
    return re.sub(r"`.*`|'.*'|\".*\"|\(.*\)", "", kind(tried(target, content)[0] or ""))


def main() -> None:
    for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        target = TARGETS[folder.name]
        chosen = smallest(target, [path.read_bytes() for path in folder.iterdir()])
        (FOUND / target.name).mkdir(parents=True, exist_ok=True)
        for content in chosen:
            (FOUND / target.name / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
        print(f"{target.name}: {len(chosen)} of {len(list(folder.iterdir()))}")


if __name__ == "__main__":
    main()
