"""What a systemd unit confines a service to, put up without systemd, for tests/service/test_service_sandbox.py:

    unshare --mount python sandbox.py UNIT --user NUMBER --writable FOLDER … --readable FOLDER … -- COMMAND

As root in a mount namespace of its own: all file systems read-only but the folders of state and cache, empty homes and
temporary folders, another user without capabilities, and the unit's own filter of system calls by libseccomp, its sets
as `systemd-analyze syscall-filter` lists them. Not put up: PrivateUsers, PrivateDevices, ProtectProc, and limits of
memory and tasks, which are systemd's or the kernel's own.
"""

import argparse
import ctypes
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EQUAL, MASKED_EQUAL = 4, 7
WRITE, EXECUTE = 2, 4
NAMESPACES = 0x7E020080  # all CLONE_NEW* flags
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
READ_ONLY_BIND = 0x1 | 0x20 | 0x1000  # MS_RDONLY, MS_REMOUNT, MS_BIND
LIBC = ctypes.CDLL(None, use_errno=True)


def directives(unit):
    """(name, value) of its [Service], in order."""
    section = unit.read_text().partition("[Service]")[2].partition("\n[")[0]
    return re.findall(r"^(\w+)=(.*)$", section, re.M)


def members(names):
    """System calls of these names and @sets."""
    found = set()
    for name in names:
        if not name.startswith("@"):
            found.add(name)
            continue
        listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
        lines = [line.strip() for line in listed.stdout.splitlines()[1:]]
        found |= members([line for line in lines if line and not line.startswith("#")])
    return found


def allowed_calls(lines):
    """As systemd adds up SystemCallFilter: the first line says whether what follows is allowed, ~ takes away."""
    allowed = members(["@default"])
    for name, value in lines:
        if name == "SystemCallFilter":
            calls = members(value.lstrip("~").split())
            allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """libseccomp: what is not allowed fails with EPERM, as in the unit."""

    def __init__(self):
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.seccomp_init(ctypes.c_uint32(ERRNO | errno.EPERM)))

    def rule(self, action, name, *comparisons):
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else of another architecture
            array = (Comparison * len(comparisons))(*(Comparison(*each) for each in comparisons))
            code = self.library.seccomp_rule_add_array(
                self.context, ctypes.c_uint32(action), number, len(comparisons), array
            )
            assert code == 0, (name, code)

    def load(self):
        assert self.library.seccomp_load(self.context) == 0


def filtered(lines):
    """Both of SystemCallFilter and of what systemd makes filters of, too."""
    settings = dict(lines)
    families = [FAMILIES[name] for name in settings["RestrictAddressFamilies"].split()]
    made, calls = Filter(), allowed_calls(lines)
    special = {"mmap", "mprotect", "pkey_mprotect", "shmat", "clone", "clone3", "unshare", "setns", "socket"}
    for name in sorted(calls - special):
        made.rule(ALLOW, name)
    assert settings["MemoryDenyWriteExecute"] == settings["RestrictNamespaces"] == "yes"
    for combined in (0, WRITE, EXECUTE):
        made.rule(ALLOW, "mmap", (2, MASKED_EQUAL, WRITE | EXECUTE, combined))
    made.rule(ALLOW, "mprotect", (2, MASKED_EQUAL, EXECUTE, 0))
    made.rule(ALLOW, "clone", (0, MASKED_EQUAL, NAMESPACES, 0))
    made.rule(ERRNO | errno.ENOSYS, "clone3")  # whose flags no filter sees: the C library takes clone then
    for family in families:
        made.rule(ALLOW, "socket", (0, EQUAL, family, 0))
    return made


def mount(source, target, kind=None, flags=0, options=None):
    encoded = [os.fsencode(each) if each is not None else None for each in (source, target, kind)]
    if LIBC.mount(*encoded, flags, os.fsencode(options) if options else None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


def confine(writable, readable):
    """ProtectSystem=strict, ProtectHome, PrivateTmp. readable: of those that would vanish, what stays."""
    kept = Path("/run/kept")
    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
    places = [*writable, *readable]
    for number, path in enumerate(places):
        (kept / str(number)).mkdir(parents=True)
        mount(path, kept / str(number), flags=0x1000)
    for empty in ("/tmp", "/var/tmp", "/root", "/home"):
        mount("tmpfs", empty, "tmpfs", 0, "mode=0755" if empty in ("/root", "/home") else "mode=1777")
    for number, path in enumerate(places):
        path.mkdir(parents=True, exist_ok=True)
        mount(kept / str(number), path, flags=0x1000)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    targets = [line.split()[4].replace("\\040", " ") for line in lines]
    targets = [each for each in targets if os.path.lexists(each)]  # what tests beside this one mount in /tmp is gone
    for target in targets:
        writes = [*map(str, writable), "/tmp", "/var/tmp"]
        if target not in writes and not target.startswith(("/proc", "/sys", "/dev")):
            mount(None, target, flags=READ_ONLY_BIND)


def become(user):
    os.setgroups([])
    for capability in range(41):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("unit", type=Path)
    parser.add_argument("--writable", type=Path, nargs="+")
    parser.add_argument("--readable", type=Path, nargs="+")
    parser.add_argument("--user", type=int)
    mine, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    arguments = parser.parse_args(mine)
    lines = directives(arguments.unit)
    made = filtered(lines)  # asks systemd-analyze, which must still be allowed to run
    confine(arguments.writable, arguments.readable)
    os.umask(int(dict(lines)["UMask"], 8))
    become(arguments.user)
    made.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
