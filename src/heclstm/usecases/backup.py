"""A connection's folder ↔ one file that a passphrase opens: secret keys, programs, token, what is under way."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from heclstm.deploy.keys import SECRET_KEY_FILE
from heclstm.errors import FileFormatError, InputError
from heclstm.network.site import (
    CA,
    CERTIFICATE,
    JOBS,
    KEYS,
    OWNER,
    PROGRAMS,
    RELEASES,
    STATE,
    TOKEN,
    Site,
    make_private,
)
from heclstm.storage.atomic import new_folder, save_file
from heclstm.storage.json import JsonLimits, parse_object
from heclstm.storage.sealed import require_passphrase, seal, unseal
from heclstm.storage.source import Source, name_of
from heclstm.storage.typed import typed

FORMAT = "heclstm-backup"
FILE_BYTES_MAX = 32 << 20
HEAD_ROOM = 1024  # for what sealing adds
_LIMITS = JsonLimits(bytes=256 << 20, depth=4, values=100_000, text=2 * FILE_BYTES_MAX)
_LABEL = "[0-9a-f]{32}"
# Everything that may stand in a backup; evaluation keys can be made again, and are large.
_NAMES = re.compile(
    rf"{STATE}|{TOKEN}|{CA}|{CERTIFICATE}|{OWNER}|{RELEASES}|{PROGRAMS}/[0-9a-f]{{64}}\.json|"
    rf"{KEYS}/{_LABEL}/{SECRET_KEY_FILE}|{JOBS}/{_LABEL}\.(json|he|result)".replace(".pem", r"\.pem")
)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["heclstm-backup"]
    version: Literal[1]
    files: Annotated[dict[str, str], Meta(max_length=50_000)]


def backup(folder: Path, output: Path, passphrase: str) -> int:
    """Returns how many secret keys are in it. Raises InputError for a weak passphrase, OutputError."""
    require_passphrase(passphrase)
    site = Site.load(folder)
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and _NAMES.fullmatch(name):
            files[name] = base64.b64encode(path.read_bytes()).decode("ascii")
    if missing := [label for label in site.state.keys if f"{KEYS}/{label}/{SECRET_KEY_FILE}" not in files]:
        raise FileFormatError(f"{folder}: the secret key {missing[0][:12]} is absent, so a backup would not restore it")
    content = json.dumps({"format": FORMAT, "version": 1, "files": files}).encode()
    if len(content) + HEAD_ROOM > _LIMITS.bytes or any(len(text) + 2 > _LIMITS.text for text in files.values()):
        raise FileFormatError(
            f"{folder}: is too large for a backup that can be restored ({len(content)} bytes, most of them queries "
            "under way); collect or cancel those first (`heclstm jobs`)"
        )
    save_file(output, seal(content, passphrase), 0o600)
    return len(site.state.keys)


def restore(source: Source, folder: Path, passphrase: str) -> Site:
    """Write the folder anew. Raises PassphraseError, FileFormatError, or InputError if something is there already."""
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; restore into a new folder, so that no key is replaced")
    name = name_of(source)
    file = typed(parse_object(unseal(source, passphrase), name, _LIMITS), _File, name)
    with new_folder(folder, "site", ()) as partial:
        partial.chmod(0o700)
        for each, text in file.files.items():
            if not _NAMES.fullmatch(each):
                raise FileFormatError(f"{name}: holds a file that belongs to no connection; it was not made by heclstm")
            for parent in list((partial / each).parents)[::-1]:
                if partial in (parent, *parent.parents):
                    make_private(parent)
            try:
                save_file(partial / each, base64.b64decode(text, validate=True), 0o600)
            except ValueError as error:
                raise FileFormatError(f"{name}: holds a damaged file; restore another backup") from error
        Site.load(partial)
    return Site.load(folder)
