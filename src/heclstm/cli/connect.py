"""heclstm connect"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import SITE, AsJson, InsecureTest, SiteFolder, Threads, Trust
from heclstm.cli.passphrase import PassphraseFile, passphrase
from heclstm.cli.terminal import TERMINAL, emit, facts, out, size
from heclstm.cli.verb import verb
from heclstm.errors import InputError

TOKEN_BYTES_MAX = 8192


@verb(after="export")
def connect(
    url: Annotated[str, typer.Argument(metavar="URL", help="Of the server, as its operator tells it.")],
    site: SiteFolder = SITE,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Holds the operator's token; else HECLSTM_TOKEN does."),
    ] = None,
    trust: Trust = None,
    program: Annotated[
        str, typer.Option("--program", metavar="DIGEST", help="Which program, where there are several, or it changed.")
    ] = "",
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="CA.PEM", help="Authorities to trust in place of the system's own."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="PEM", help="The hospital's certificate and key, if the server asks."),
    ] = None,
    proxy: Annotated[
        str | None, typer.Option("--proxy", metavar="URL", help="Else HTTPS_PROXY and NO_PROXY of the environment.")
    ] = None,
    sealed: Annotated[
        bool, typer.Option("--passphrase", help="Seal the secret key by a passphrase: asked for, or from a file.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    keyring: Annotated[
        bool,
        typer.Option("--keyring", help="Seal it, and let the system's keyring hold the passphrase for later calls."),
    ] = False,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: set up with a server, once.

    Checks its certificate, the program's digest, the model owner's signature and the security of its parameters;
    then makes keys and uploads the public ones. If the line is cut, or you stop it, the same command goes on where it
    ended. The folder SITE/ holds the secret key and never leaves; make a backup of it.

    Example:

        heclstm connect https://he.example.org --token-file token.txt --trust owner.pub
    """
    from heclstm.network.site import Site
    from heclstm.network.trust import Wish
    from heclstm.usecases import connect as usecase

    seal = sealed or keyring or passphrase_file is not None
    kept = Site.load(site).kept_passphrase() if Site.exists(site) and not keyring else None
    words = passphrase(passphrase_file, new=seal, keyring=kept)
    wish = Wish(url, site, _token(token_file), program, trust, ca, certificate, proxy, allow_insecure=insecure_test)
    made = usecase.connect(wish, passphrase=words, seal=seal, keep=keyring, threads=threads, events=TERMINAL)
    if as_json:
        emit({"site": str(site), **made.to_json()})
        return
    connection = made.connection
    rows = {"server": connection.url}
    if (shown := made.certificate) is not None:
        rows["certificate"] = f"of {shown.subject}, by {shown.issuer}, until {shown.expires}"
    rows |= {
        "program": f"{connection.program[:12]} {connection.name}".strip(),
        "signed by": connection.signed_by or "not checked",
        "security": f"{made.security} bits" if made.security.isdecimal() else made.security,
        "secret key": f"{site}/keys/{connection.key}, {'new' if connection.new_key else 'as before'}; stays here",
        **({"passphrase": "held by the system's keyring; keep it elsewhere, too"} if keyring else {}),
        "evaluation keys": f"{size(connection.key_bytes)}, ready at the server",
    }
    out().print(facts(rows))


def _token(file: Path | None) -> str:
    """Never from the command line, which others can see. Empty where nobody gives one: an earlier one will do."""
    if file is None:
        return os.environ.get("HECLSTM_TOKEN", "").strip()
    with file.open("rb") as stream:
        line = stream.readline(TOKEN_BYTES_MAX).decode("ascii", errors="replace").strip()
    if not line:
        raise InputError(f"{file}: its first line is empty, expected the token")
    return line
