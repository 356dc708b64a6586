"""The real service in what its systemd unit confines it to, as far as that can be put up without systemd."""

import os
import re
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest

import heclstm
from sandbox import allowed_calls, directives
from service.kit import ENVIRONMENT, Remote, Running, expect, write_config

ROOT = Path(__file__).parents[2]
UNIT, SANDBOX = ROOT / "deploy" / "heclstm.service", ROOT / "tests" / "sandbox.py"
USER = 61184  # the first of those that DynamicUser gives away
TOOLS = ("systemd-analyze", "unshare")


def missing():
    if lost := [name for name in TOOLS if shutil.which(name) is None]:
        return f"{', '.join(lost)}: not installed"
    if find_library("seccomp") is None:
        return "libseccomp is not installed"
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        return "no mount namespace without root and its capabilities"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


class Confined(Running):
    """`heclstm serve` as the unit starts it. place: of state, cache and configuration."""

    def __init__(self, config, authority, place):
        super().__init__(config, authority)
        self.place = place

    def command(self, *arguments):
        """Python and what it imports stay readable where the unit would hide them: in a home, or below /tmp."""
        readable = {
            Path(sys.base_prefix),
            Path(sys.prefix),
            Path(heclstm.__file__).parents[1],
            self.config.programs[0].folder,
        }
        return [
            *("unshare", "--mount", "--propagation", "private", sys.executable, str(SANDBOX), str(UNIT)),
            *("--user", str(USER), "--writable", str(self.place / "state"), str(self.place / "cache")),
            *("--readable", str(self.path.parent), *map(str, sorted(map(Path, readable))), "--"),
            *arguments,
        ]

    @property
    def environment(self):
        (cache,) = [value for name, value in directives(UNIT) if name == "Environment" and "CACHE" in value]
        assert cache == "XDG_CACHE_HOME=%C"
        return {**ENVIRONMENT, "XDG_CACHE_HOME": str(self.place / "cache"), "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}

    def spawn(self, log):
        command = self.command(sys.executable, "-m", "heclstm.cli", "serve", str(self.path))
        return subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)

    def inside(self, code):
        """What a Python of the sandbox prints."""
        command = self.command(sys.executable, "-c", code)
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.fixture(scope="module")
def confined(program, certificates, tmp_path_factory):
    place = tmp_path_factory.mktemp("unit")
    (place / "etc").mkdir()
    shutil.copytree(program, place / "etc" / "program")
    tls, authority = certificates
    for name, path in tls.items():
        shutil.copy(path, place / "etc" / name)
    tls = {name: str(place / "etc" / name) for name in tls}
    state = str(place / "state")
    config = write_config(place / "etc", [{"folder": str(place / "etc" / "program")}], state=state, tls=tls)
    for path in (place, *(place / "etc").rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    for name in ("state", "cache"):
        (place / name).mkdir(mode=0o700)
        os.chown(place / name, USER, USER)
    return Confined(config, authority, place)


def test_it_serves_a_whole_diagnosis_and_keeps_what_it_prepared(confined, hospital):
    """Keys by the intake, an evaluation by a worker; state and cache belong to its user alone."""
    token = confined.token()
    for path in (confined.place / "state").rglob("*"):
        os.chown(path, USER, USER)  # `heclstm token` runs as the service's user
    confined.start()
    try:
        status = Path(f"/proc/{confined.process.pid}/status").read_text()
        found = dict(re.findall(r"^(Seccomp|NoNewPrivs|CapEff|CapBnd|Uid):\s+(\S+)", status, re.M))
        assert found == {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16, "Uid": str(USER)}
        tenant = Remote(confined.http(token))
        expect(tenant.put_keys(hospital), 201)
        query = hospital.query()
        assert abs(tenant.diagnose(hospital, query)) < 50
        kept = list((confined.place / "cache").rglob("*.*"))
        assert sorted(path.suffix for path in kept) == [".outline", ".prepared"]
        assert {path.stat().st_uid for path in kept} == {USER}
        assert confined.stop() == 0
    finally:
        confined.close()


def test_what_the_unit_forbids_fails(confined):
    """So that the test above is one of a sandbox, and not of nothing."""
    code = (
        "import ctypes, mmap, os, socket\n"
        "def tried(call, *arguments, **options):\n"
        "    try: call(*arguments, **options)\n"
        "    except (OSError, PermissionError) as error: return error.errno\n"
        "    return 0\n"
        "print(tried(open, '/etc/planted', 'w'), tried(open, '/tmp/planted', 'w'))\n"
        "print(tried(mmap.mmap, -1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC))\n"
        "print(tried(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW))\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "for name, arguments in (('unshare', [1 << 28]), ('mount', [None, b'/', None, 0, None]), ('setns', [0, 0])):\n"
        "    assert getattr(libc, name)(*arguments) == -1\n"
        "    print(ctypes.get_errno())\n"
        "print(len(os.listdir('/home')))\n"
    )
    assert confined.inside(code) == ["30", "0", "1", "1", "1", "1", "1", "0"]
    assert {"mount", "ptrace", "reboot", "bpf"}.isdisjoint(allowed_calls(directives(UNIT)))
