"""A server at a URL, for a program of one's own: from an array to a diagnosis, in threads or in an event loop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Passphrase
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.network.hospital import Connection, Hospital, OnStatus, made_of
from heclstm.network.patience import DEFAULT, Patience
from heclstm.network.site import Site
from heclstm.network.steps import OnProgress
from heclstm.network.transport import AsyncTransport, Transport
from heclstm.network.trust import Wish, find_program, take

if TYPE_CHECKING:
    from heclstm.data.handed_in import HandedIn

Place = str | os.PathLike[str]


class Remote:
    """A hospital that is connected to a server.

        remote = heclstm.Remote.connect("https://he.example.org", "site", token=token, trust="owner.pub")   # once
        with heclstm.Remote("site") as remote:
            diagnosis = remote.diagnose(volume, name="case 7")

    Several threads may use one of them. Leaving its `with` block overwrites the secret keys in memory.
    """

    def __init__(
        self,
        site: Place,
        *,
        passphrase: Passphrase | str | None = None,
        threads: int | None = None,
        allow_insecure: bool = False,
        patience: Patience = DEFAULT,
    ) -> None:
        """site: the folder of an earlier `connect`. passphrase: of its secret keys, if they are sealed; by default
        from the system's keyring, if `heclstm connect --keyring` has put it there.

        allow_insecure: for tests, with programs that have no security. Raises FileFormatError.
        """
        self.hospital = Hospital(
            Site.load(Path(site)),
            passphrase=passphrase,
            threads=threads,
            allow_insecure=allow_insecure,
            patience=patience,
        )
        self.transport = Transport(self.hospital.site.route())
        self.connection: Connection | None = None

    @classmethod
    def connect(
        cls,
        url: str,
        site: Place,
        *,
        token: str = "",
        trust: Place | None = None,
        ca: Place | None = None,
        certificate: Place | None = None,
        proxy: str | None = None,
        program: str = "",
        on_keys: OnProgress | None = None,
        on_upload: OnProgress | None = None,
        **options: Any,
    ) -> Remote:
        """Verify a server and its program, make keys in the folder `site`, and bring the public ones to the server.

        Hundreds of megabytes, once; called again, it goes on where it was stopped, or finds all done. trust: the model
        owner's public key. ca: certificates to trust in place of the system's. certificate: the hospital's own.
        program: the digest, where there are several. options: as for a `Remote`; a passphrase seals new secret keys.
        Raises NetworkError, DigestError, SignatureError or SecurityError.
        """
        wish = _wish(url, site, token, program, proxy, options, trust=trust, ca=ca, certificate=certificate)
        patience = options.get("patience", DEFAULT)
        before = wish.site()
        transport = Transport(wish.route(before))
        try:
            taken = transport.run(find_program(wish, before, patience))
        finally:
            transport.close()
        take(wish, before, taken)
        remote = cls(site, **options)
        try:
            seal = options.get("passphrase") is not None
            steps = remote.hospital.connect(taken.card, on_keys, on_upload, seal=seal)
            remote.connection = remote.transport.run(steps)
        except BaseException:
            remote.close()
            raise
        return remote

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def diagnose(
        self,
        images: ImageSequence | HandedIn | Any,
        name: str = "",
        on_status: OnStatus | None = None,
        *,
        override_envelope: str = "",
    ) -> Diagnosis:
        """Encrypt, have evaluated, decrypt. images: an array of raw images, or what `Client.encrypt` takes.

        name stays here. Raises RefusedError for a job that failed, and what `Client.encrypt` and `decrypt` raise.
        """
        return self.transport.run(self.hospital.diagnose(made_of(images, name, override_envelope), on_status))

    def rotate_keys(self, on_keys: OnProgress | None = None, on_upload: OnProgress | None = None) -> str:
        """New keys for new queries; old ones are erased once nothing is under way for them. Returns the new label."""
        label = self.transport.run(self.hospital.rotate(on_keys, on_upload))
        self.transport.run(self.hospital.settle())
        return label

    def forget(self) -> None:
        """Erase all that is this site's, at the server and here. Nothing under these keys can be read any more."""
        self.transport.run(self.hospital.forget())
        self.close()
        self.hospital.site.forget()

    def close(self) -> None:
        self.hospital.close()
        self.transport.close()


class AsyncRemote:
    """As `Remote`, in an event loop; encryption and reading of files are done in threads."""

    def __init__(self, site: Place, **options: Any) -> None:
        """options: as for `Remote`."""
        self.hospital = Hospital(Site.load(Path(site)), **options)
        self.transport = AsyncTransport(self.hospital.site.route())
        self.connection: Connection | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        site: Place,
        *,
        token: str = "",
        trust: Place | None = None,
        ca: Place | None = None,
        certificate: Place | None = None,
        proxy: str | None = None,
        program: str = "",
        on_keys: OnProgress | None = None,
        on_upload: OnProgress | None = None,
        **options: Any,
    ) -> AsyncRemote:
        """As `Remote.connect`."""
        wish = _wish(url, site, token, program, proxy, options, trust=trust, ca=ca, certificate=certificate)
        patience = options.get("patience", DEFAULT)
        before = wish.site()
        transport = AsyncTransport(wish.route(before))
        try:
            taken = await transport.run(find_program(wish, before, patience))
        finally:
            await transport.close()
        take(wish, before, taken)
        remote = cls(site, **options)
        try:
            seal = options.get("passphrase") is not None
            remote.connection = await remote.transport.run(
                remote.hospital.connect(taken.card, on_keys, on_upload, seal=seal)
            )
        except BaseException:
            await remote.close()
            raise
        return remote

    async def __aenter__(self) -> AsyncRemote:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def diagnose(
        self,
        images: ImageSequence | HandedIn | Any,
        name: str = "",
        on_status: OnStatus | None = None,
        *,
        override_envelope: str = "",
    ) -> Diagnosis:
        """As `Remote.diagnose`."""
        return await self.transport.run(self.hospital.diagnose(made_of(images, name, override_envelope), on_status))

    async def rotate_keys(self, on_keys: OnProgress | None = None, on_upload: OnProgress | None = None) -> str:
        label = await self.transport.run(self.hospital.rotate(on_keys, on_upload))
        await self.transport.run(self.hospital.settle())
        return label

    async def forget(self) -> None:
        await self.transport.run(self.hospital.forget())
        await self.close()
        self.hospital.site.forget()

    async def close(self) -> None:
        self.hospital.close()
        await self.transport.close()


def _wish(
    url: str, site: Place, token: str, program: str, proxy: str | None, options: dict[str, Any], **files: Place | None
) -> Wish:
    paths = {name: None if file is None else Path(file) for name, file in files.items()}
    insecure = bool(options.get("allow_insecure"))
    return Wish(url, Path(site), token, program, proxy=proxy, allow_insecure=insecure, **paths)
