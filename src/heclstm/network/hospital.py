"""What a hospital does with a server, as conversations: connect, diagnose, change keys, forget."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.deploy.case import Case
from heclstm.deploy.client import Client, Passphrase
from heclstm.deploy.diagnosis import Diagnosis, require_name
from heclstm.deploy.keys import evaluation_key_blobs, result_blobs
from heclstm.deploy.usual import envelope_facts
from heclstm.deploy.wire import Kind, Message, received
from heclstm.errors import DigestError, FileFormatError, InputError, RangeError, RefusedError
from heclstm.network import calls
from heclstm.network.answers import JobStatus
from heclstm.network.patience import DEFAULT, Patience
from heclstm.network.pending import Folder, Pending
from heclstm.network.site import OWNER, Site, now
from heclstm.network.steps import OnProgress, Steps, do

OnStatus = Callable[[JobStatus], None]
Keep = Callable[[Diagnosis, Case], None]
Make = Callable[[Client], tuple[Message, Case]]  # a query, by the client that holds the secret key


@dataclass(frozen=True)
class Connection:
    """What `connect` found and did. signed_by: the owner's key, if one is trusted. new_key: whether keys were made."""

    url: str
    program: str
    name: str
    signed_by: str | None
    key: str
    new_key: bool
    key_bytes: int


class Hospital:
    """One site. Its conversations may run in several threads at once; `clients` hold the secret keys in memory."""

    def __init__(
        self,
        site: Site,
        *,
        passphrase: Passphrase | str | None = None,
        threads: int | None = None,
        allow_insecure: bool = False,
        patience: Patience = DEFAULT,
    ) -> None:
        self.site, self.pending, self.patience = site, Folder(site), patience
        given = (lambda: passphrase) if isinstance(passphrase, str) else passphrase
        self._passphrase: Passphrase | None = given or site.kept_passphrase()
        self._threads, self._allow_insecure = threads, allow_insecure
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Overwrite the secret keys in memory."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    # connect

    def connect(
        self, card: ProgramCard, on_keys: OnProgress | None, on_upload: OnProgress | None, *, seal: bool = False
    ) -> Steps[Connection]:
        """Keys for a verified program, on the server and ready. Goes on where an earlier call was stopped.

        seal: a new secret key by the passphrase, as those are that follow it.
        """
        state = self.site.state
        of_program = {label: key for label, key in state.keys.items() if key.program == card.digest}
        label = state.key if state.key in of_program else next(reversed(of_program), None)
        made = label is None
        if label is None:
            label = yield from do(lambda: self._new_key(card, seal or self.site.seals))
        status = yield from calls.key_status(label, self.patience)
        if status is None or status.state != "ready":
            yield from self.upload(label, on_keys, on_upload)
        self.site.key_is_ready(label)
        signed_by = card.signature.key if card.signature and self.site.file(OWNER) else None
        name = card.model.name if card.model else ""
        size = sum(size for _, size in evaluation_key_blobs(card))
        return Connection(self.site.state.url, card.digest, name, signed_by, label, made, size)

    def upload(self, label: str, on_keys: OnProgress | None, on_upload: OnProgress | None) -> Steps[None]:
        """The evaluation keys of a secret key; they are made first where they do not lie here."""
        path = self.site.evaluation_keys(label)
        if not path.is_file():
            yield from do(lambda: self._make_evaluation_keys(label, on_keys))
        yield from calls.upload(path, on_upload, self.patience)

    def keep_passphrase(self) -> None:
        """Put that of the key in use into the system's keyring; later calls take it from there.

        Raises InputError if the key is not sealed, PassphraseError if it does not open it, KeyringError.
        """
        label = self.site.state.key
        if label is None or self._passphrase is None or not self.site.seals:
            raise InputError(
                f"{self.site.folder}: its secret key is not sealed, so a keyring has nothing to keep; connect another "
                "folder by `heclstm connect --keyring --site`"
            )
        self.client(label)
        self.site.keep_passphrase(self._passphrase())

    def rotate(self, on_keys: OnProgress | None, on_upload: OnProgress | None) -> Steps[str]:
        """New keys for new queries. The old ones stay as long as something is under way for them: see `settle`."""
        card = self.site.card()
        label = yield from do(lambda: self._new_key(card, self.site.seals))
        yield from self.upload(label, on_keys, on_upload)
        self.site.key_is_ready(label)
        return label

    def settle(self) -> Steps[tuple[list[str], list[str]]]:
        """Erase old keys that nothing is under way for, here and at the server. Returns (erased, still needed)."""
        erased, needed = [], []
        old = [label for label in self.site.state.keys if label != self.site.state.key]
        if not old or self.site.state.key is None:
            return [], []
        jobs = yield from calls.list_jobs(self.patience)
        busy = {job.key for job in jobs if not job.ended} | {each.key for each in self.pending.all()}
        for label in old:
            if label in busy:
                needed.append(label)
                continue
            yield from calls.delete_keys(label, self.patience)
            self._forget_client(label)
            self.site.forget_key(label)
            erased.append(label)
        return erased, needed

    def forget(self) -> Steps[None]:
        """Erase at the server all that is this site's: its jobs and keys. Nothing here is touched."""
        labels = set(self.site.state.keys)
        for job in (yield from calls.list_jobs(self.patience)):
            if job.key in labels:
                yield from calls.delete_job(job.id, self.patience)
        for label in labels:
            yield from calls.delete_keys(label, self.patience)

    # diagnose

    def submit(self, make: Make) -> Steps[Pending]:
        """Encrypt and send one sequence."""
        pending = yield from do(lambda: self._encrypted(make))
        return (yield from self.send(pending))

    def send(self, pending: Pending) -> Steps[Pending]:
        """A query that lies here. Keys that the server has lost are made and sent again.

        A query that is refused for good is forgotten; one without an answer stays, for it may have been taken.
        """
        query = self.pending.query(pending)
        try:
            try:
                job = yield from calls.post(query, self.patience)
            except RefusedError as error:
                if error.code != "unknown-keys":
                    raise
                yield from self.upload(pending.key, None, None)
                self.site.evaluation_keys(pending.key).unlink(missing_ok=True)
                job = yield from calls.post(query, self.patience)
        except RefusedError as error:
            if not error.passing:
                self.pending.remove(pending)
            raise
        return self.pending.sent(pending, job.id)

    def collect(
        self, pending: Pending, on_status: OnStatus | None = None, keep: Keep | None = None
    ) -> Steps[Diagnosis]:
        """Wait for a job, take its result, erase it at the server, and only then decrypt it.

        keep: saves the diagnosis; before that, the encrypted result is not deleted here.
        """
        if not pending.job:
            pending = yield from self.send(pending)
        result = self.pending.result(pending)
        if result is None:
            result = yield from self._fetched(pending, on_status)
        try:
            diagnosis: Diagnosis = yield from do(lambda: self._decrypted(pending, result, keep))
        except RangeError:
            self.pending.remove(pending)  # it will be no better another time
            raise
        self.pending.remove(pending)
        return diagnosis

    def diagnose(self, make: Make, on_status: OnStatus | None = None, keep: Keep | None = None) -> Steps[Diagnosis]:
        pending = yield from self.submit(make)
        return (yield from self.collect(pending, on_status, keep))

    def cancel(self, pending: Pending) -> Steps[None]:
        if pending.job:
            yield from calls.delete_job(pending.job, self.patience)
        self.pending.remove(pending)

    def _fetched(self, pending: Pending, on_status: OnStatus | None) -> Steps[bytes]:
        try:
            status = yield from calls.ended(pending.job, on_status, self.patience)
        except RefusedError as error:
            if error.code != "not-found":
                raise
            if (result := self.pending.result(pending)) is not None:  # another process of this site was faster
                return result
            raise RefusedError(
                f"job {pending.job[:12]}: is not at the server any more: another process here has read it, or it was "
                "not read in time; if it has no diagnosis, `heclstm jobs --cancel` it and send the images again",
                error.code,
            ) from error
        if status.state != "done":
            codes = ", ".join(failure.code for failure in status.failures) or "unknown"
            self.pending.remove(pending)
            raise RefusedError(
                f"job {pending.job[:12]}: failed at the server ({codes}); tell its operator, and send the images again",
                codes,
            )
        size = sum(size for _, size in result_blobs(self.site.card(pending.case.program)))
        result = yield from calls.result(pending.job, size, self.patience)
        _require_answer(result, pending)
        self.pending.keep_result(pending, result)
        yield from calls.delete_job(pending.job, self.patience)
        return result

    # work of this machine

    def open(self) -> Client:
        """Load the secret key that new queries are encrypted under. Raises InputError if there is none yet."""
        label = self.site.state.key
        if label is None:
            raise InputError(f"{self.site.folder}: has no keys at the server yet; run `heclstm connect` to its end")
        return self.client(label)

    def client(self, label: str) -> Client:
        """That of a secret key, which stays in memory until this is closed."""
        with self._lock:
            if label not in self._clients:
                key = self.site.state.keys.get(label)
                if key is None:
                    raise FileFormatError(
                        f"{self.site.folder}: has no secret key {label[:12]}; restore it from a backup"
                    )
                client = self._client(self.site.card(key.program))
                try:
                    self.site.open_key(client, label, self._passphrase)
                except BaseException:
                    client.close()
                    raise
                self._clients[label] = client
            return self._clients[label]

    def _client(self, card: ProgramCard) -> Client:
        return Client(card, threads=self._threads, allow_insecure=self._allow_insecure)

    def _forget_client(self, label: str) -> None:
        with self._lock:
            if client := self._clients.pop(label, None):
                client.close()

    def _new_key(self, card: ProgramCard, seal: bool) -> str:
        if seal and self._passphrase is None:
            raise InputError("passphrase: is missing, and the secret key would lie unsealed")
        client = self._client(card)
        try:
            secret = client.new_secret_key(self._passphrase() if seal and self._passphrase else None)
            label = secret.header.key
            self.site.add_key(label, card.digest, secret)
        except BaseException:
            client.close()
            raise
        with self._lock:
            self._clients[label] = client
        return label

    def _make_evaluation_keys(self, label: str, on_keys: OnProgress | None) -> None:
        keys, done = self.client(label).evaluation_keys(), 0
        total = keys.header.total_bytes

        def count(size: int) -> None:
            nonlocal done
            done += size
            if on_keys:
                on_keys(done, total)

        keys.save(self.site.evaluation_keys(label), count)

    def _encrypted(self, make: Make) -> Pending:
        query, case = make(self.open())
        pending = Pending(case, now())
        self.pending.add(pending, bytes(query))
        return pending

    def _decrypted(self, pending: Pending, result: bytes, keep: Keep | None) -> Diagnosis:
        case = pending.case
        diagnosis = self.client(pending.key).decrypt(result, case.name, case.frames, case=case)
        if keep:
            keep(diagnosis, case)
        return diagnosis


def made_of(images: Any, name: str, override_envelope: str) -> Make:
    """A query of an array of raw images, or of what was read of files."""

    def make(client: Client) -> tuple[Message, Case]:
        require_name(name)
        sequence = client.prepared(images)
        query = client.encrypt(sequence, override_envelope=override_envelope)
        envelope = envelope_facts(client.card, sequence, override_envelope)
        return query, Case.of(query.header, sequence, name=name, **envelope)

    return make


def _require_answer(result: bytes, pending: Pending) -> None:
    """Whole, and of this query: all that the server knows as well, so it may see that another one is asked for."""
    with received(result, Kind.RESULT) as message:
        if message.header.query != pending.query:
            raise DigestError("result: answers another query than was sent; tell the operator of the server")
        message.check()
