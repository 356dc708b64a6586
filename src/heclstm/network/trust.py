"""Which program a hospital takes from a server, and what must hold before it makes keys for it.

A program that was taken once is pinned by its digest, which covers its card and its circuit: a server that offers
another one is told apart, and another one is taken only if the hospital names it, or if the
model owner whom it trusts signed the successor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heclstm.card.program_card import ProgramCard, different
from heclstm.card.signature import require_signature
from heclstm.errors import DigestError, InputError, RefusedError, SecurityError
from heclstm.network import calls
from heclstm.network.address import Address
from heclstm.network.answers import Offered
from heclstm.network.patience import DEFAULT, Patience
from heclstm.network.site import CA, CERTIFICATE, OWNER, TOKEN, Site
from heclstm.network.steps import Steps
from heclstm.network.transport import Route
from heclstm.program.public import load_card


@dataclass(frozen=True, repr=False)
class Wish:
    """What a hospital says when it connects. token: of the operator; that of an earlier call by default,
    and none where the certificate tells who asks.

    program: the digest, or its beginning, of the one to use; needed where there are several, or where it has changed.
    trust: file with the public key of the model owner, who must have signed the program. ca, certificate, proxy: as in
    `transport.Route`.
    """

    url: str
    folder: Path
    token: str = ""
    program: str = ""
    trust: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    proxy: str | None = None
    allow_insecure: bool = False

    def site(self) -> Site | None:
        """The one that is there already. Raises InputError if it belongs to another server."""
        if not Site.exists(self.folder):
            return None
        site = Site.load(self.folder)
        if site.state.url != Address.of(self.url).url:
            raise InputError(
                f"{self.folder}: is connected to {site.state.url}; choose another --site, or `heclstm forget` it"
            )
        return site

    def route(self, site: Site | None) -> Route:
        kept = {name: site.file(name) if site else None for name in (CA, CERTIFICATE)}
        address = Address.of(self.url)
        token = self.token or (site.token() if site else "")
        certificate = self.certificate or kept[CERTIFICATE]
        if not token and not certificate:
            raise InputError("token: is missing; the operator gives one (`heclstm token create`)")
        proxy = self.proxy or (site.state.proxy if site else None)
        return Route(address, token, self.ca or kept[CA], certificate, proxy)


@dataclass(frozen=True, repr=False)
class Taken:
    """A verified program. document: program.json as it came. successor_of: the retired one that it replaces."""

    card: ProgramCard
    document: bytes
    successor_of: str | None = None


def find_program(wish: Wish, site: Site | None, patience: Patience = DEFAULT) -> Steps[Taken]:
    """Choose, fetch and verify. Raises RefusedError, DigestError, SignatureError or SecurityError."""
    programs = yield from calls.list_programs(patience)
    pinned = site.state.program if site else None
    chosen = choose(programs, wish.program, pinned)
    document = yield from calls.program(chosen.digest, patience)
    owner = wish.trust or (site.file(OWNER) if site else None)
    card = verify(document, chosen.digest, owner, allow_insecure=wish.allow_insecure)
    succeeds = owner is not None and any(each.digest == pinned and each.retired for each in programs)
    if site and pinned and chosen.digest != pinned and not wish.program and not succeeds:
        changed = different(site.card().field_digests(), card.field_digests()) or ["its circuit"]
        raise DigestError(
            f"server: offers program {card.digest[:12]} in place of {pinned[:12]}; changed: {', '.join(changed)}. "
            f"If the model owner says that this is right: heclstm connect {wish.url} --program {card.digest[:12]}"
        )
    replaced = pinned if pinned not in (None, card.digest) else None
    return Taken(card, document, replaced)


def choose(programs: tuple[Offered, ...], wanted: str, pinned: str | None) -> Offered:
    """The one that is wanted; else that which was taken before or its successor; else the only one."""
    if wanted:
        found = [each for each in programs if each.digest.startswith(wanted)]
        if len(found) != 1 or len(wanted) < 8:
            raise RefusedError(f"server: {len(found)} of its programs begin with {wanted[:64]!r}{_list(programs)}")
        if found[0].retired:
            raise RefusedError(
                f"server: program {found[0].digest[:12]} is retired{_list(programs)}",
                "retired-program",
                found[0].successor,
            )
        return found[0]
    by_digest = {each.digest: each for each in programs}
    digest = pinned
    for _ in programs:  # a successor may be retired, too
        if digest is None or digest not in by_digest:
            break
        if not by_digest[digest].retired:
            return by_digest[digest]
        digest = by_digest[digest].successor
    active = [each for each in programs if not each.retired]
    if len(active) != 1:
        raise RefusedError(f"server: offers {len(active)} programs; choose one by --program{_list(programs)}")
    return active[0]


def verify(document: bytes, digest: str, owner: Path | None, *, allow_insecure: bool = False) -> ProgramCard:
    """Digest, signature, security: all that can be verified without the program itself."""
    card = load_card(document)
    if card.circuit is None:
        raise DigestError("server: its program is of version 1, which cannot be verified alone; ask for a newer one")
    if card.digest != digest:
        raise DigestError(f"server: sent program {card.digest[:12]} where {digest[:12]} was asked for")
    if owner is not None:
        require_signature(card.signature, card.digest, owner, "the server's program")
    if card.parameters.security != "128" and not allow_insecure:
        raise SecurityError(
            f"server: its program has parameters of {card.parameters.security}, expected 128-bit security; no "
            "patient's images may be encrypted with them"
        )
    return card


def take(wish: Wish, site: Site | None, taken: Taken) -> Site:
    """Write down what was verified, and what it was verified with."""
    if site is None:
        site = Site.create(wish.folder, Address.of(wish.url).url, taken.card.digest, wish.proxy)
    if wish.token:
        site.keep(TOKEN, wish.token + "\n")
    for name, given in ((CA, wish.ca), (CERTIFICATE, wish.certificate), (OWNER, wish.trust)):
        if given is not None and given.absolute() != (site.folder / name).absolute():
            site.keep(name, given.read_bytes())
    site.take_program(taken.card, taken.document)
    return site


def _list(programs: tuple[Offered, ...]) -> str:
    told = [f"{each.digest[:12]} {each.name}{' (retired)' if each.retired else ''}".strip() for each in programs]
    return f"; it has: {', '.join(told)}" if told else "; it has none"
