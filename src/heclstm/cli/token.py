"""heclstm token create, list, revoke"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit, note, out, table
from heclstm.cli.verb import Verb, verb

if TYPE_CHECKING:
    from heclstm.service.database.tenants import Tenants, Token

Config = Annotated[Path, typer.Argument(metavar="CONFIG.TOML", help="The configuration of the service.")]

token = verb(after="schema", name="token")(
    typer.Typer(no_args_is_help=True, help="Server: give tenants tokens, list and revoke them.")
)


@token.command(cls=Verb)
def create(
    config: Config,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="A short name: a-z, 0-9, '.', '_', '-'.")],
    scopes: Annotated[
        str, typer.Option("--scopes", help="What it is for: some of programs, keys, jobs, metrics, operator.")
    ] = "programs,keys,jobs",
    days: Annotated[
        float | None, typer.Option("--days", min=0, max=36_500, help="After which it expires; never by default.")
    ] = None,
    remark: Annotated[str, typer.Option("--note", help="Where it is used, to know it in a list.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once. The service needs no restart.

    Example:

        heclstm token create service.toml st-elsewhere --days 365
    """
    made, text = _tenants(config).create_token(
        tenant, [each.strip() for each in scopes.split(",")], days=days, note=remark
    )
    _audit(config, "token created", made)
    if as_json:
        emit({**_row(made), "token": text})
    else:
        out().print(text, soft_wrap=True)
        note(f"token {made.id} of {tenant}; it is not stored and cannot be shown again")


@token.command("list", cls=Verb)
def list_tokens(
    config: Config,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show all tokens, without what only their owners know."""
    found = _tenants(config).tokens(tenant)
    if as_json:
        emit({"tokens": [_row(each) for each in found]})
        return
    rows = table("id", "tenant", "scopes", "created", "expires", "revoked", "note")
    for each in found:
        shown = _row(each)
        rows.add_row(*(str(shown[name] or "") for name in shown))
    out().print(rows)


@token.command(cls=Verb)
def revoke(config: Config, id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")]) -> None:
    """Make a token invalid, at once. What it had been used for stays."""
    gone = _tenants(config).revoke(id)
    _audit(config, "token revoked", gone)
    note(f"token {gone.id} of {gone.tenant} is revoked")


def _tenants(path: Path) -> Tenants:
    from heclstm.cli.service import required

    required()
    from heclstm.service.config import load_config
    from heclstm.service.database.connection import Database
    from heclstm.service.database.migrate import upgrade
    from heclstm.service.database.tenants import Tenants

    database = Database(load_config(path).database_url)
    upgrade(database)
    return Tenants(database)


def _audit(path: Path, action: str, made: Token) -> None:
    from heclstm.service.audit import Audit
    from heclstm.service.config import load_config

    Audit(load_config(path).folder / "audit").write(action, made.tenant, token=made.id, scopes=list(made.scopes))


def _row(made: Token) -> dict[str, str | None]:
    from heclstm.service import clock

    times = {name: clock.iso(getattr(made, name)) for name in ("created", "expires", "revoked")}
    return {"id": made.id, "tenant": made.tenant, "scopes": " ".join(made.scopes), **times, "note": made.note}
