"""Who may send to the gateway, and what: C-ECHO, C-STORE, and what a PACS says of a commitment. By pynetdicom.

A sender is known by its AE title and its address together; others are turned away before they can say anything. Who
opens connections and says nothing, or nonsense, keeps nobody else waiting.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from errno import EMSGSIZE
from typing import Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt, sop_class
from pynetdicom.transport import ThreadedAssociationServer

from heclstm.data.budget import FILE_BYTES_MAX
from heclstm.data.dicom.library import guarded
from heclstm.data.dicom.values import items, text
from heclstm.errors import ConfigError, HeclstmError
from heclstm.gateway.arrivals import Answer, Image
from heclstm.gateway.config import Config, Listen, split
from heclstm.gateway.logs import log

CLASSES: Any = sop_class  # its names are made when it is loaded
SUCCESS, NO_RESOURCES, NOT_UNDERSTOOD, DUPLICATE, FAILED = 0x0000, 0xA700, 0xC000, 0x0111, 0x0110
STATUS = {
    Answer.TAKEN: SUCCESS, Answer.KNOWN: SUCCESS, Answer.FULL: NO_RESOURCES, Answer.OTHER: DUPLICATE,
}  # fmt: skip
# A few kilobytes of these inflate to all memory before anybody can look.
DEFLATED = {f"1.2.840.10008.1.2.{end}" for end in ("1.99", "4.95", "4.205")}
SYNTAXES = [syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in DEFLATED]
NETWORK_SECONDS = 60.0  # without a byte
REQUEST_SECONDS = 10.0  # until who has connected says what for
CONNECTIONS = 128  # that have not said so yet, or have
PDU_BYTES_MAX = 1 << 20  # pynetdicom offers 16 KB; an association with all its contexts takes some more
Take = Callable[[Image], Answer]
Committed = Callable[[str, set[str], set[str]], bool]  # transaction, kept, failed


def listen(config: Config, take: Take, committed: Committed) -> Any:
    """Start it, in threads of its own; `shutdown()` ends it. Raises ConfigError."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it tells titles and UIDs
    own = config.listen
    entity = AE(own.title)
    entity.require_called_aet = True
    entity.maximum_associations = CONNECTIONS  # it counts all connections; associations are counted by `_requested`
    entity.network_timeout = entity.dimse_timeout = NETWORK_SECONDS
    entity.acse_timeout = REQUEST_SECONDS
    entity.add_supported_context(CLASSES.Verification)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), SYNTAXES)
    entity.add_supported_context(CLASSES.StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _bounded),
        (evt.EVT_CONN_CLOSE, _closed),
        (evt.EVT_REQUESTED, _requested, [config]),
        (evt.EVT_C_STORE, _store, [take]),
        (evt.EVT_N_EVENT_REPORT, _reported, [committed]),
    ]
    try:
        server: Any = entity.make_server(
            split(own.address), evt_handlers=handlers, ssl_context=_tls(own), server_class=_Server
        )
    except OSError as error:
        raise ConfigError(f"listen: {own.address}: cannot be used ({error.strerror})") from error
    server.config = config
    entity._servers.append(server)  # where its `shutdown` looks for it
    threading.excepthook = _broken
    threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
    return server


class _Server(ThreadedAssociationServer):
    """Hangs up on who connects from where no sender is, before anything is read or a thread is begun."""

    config: Config

    def get_request(self) -> tuple[Any, Any]:
        """Raises OSError, which ends the connection alone."""
        listening: Any = self.socket
        connection, address = listening.accept()
        try:
            if not self.config.knows_address(str(address[0])):
                log("refused", reason="unknown address")
                raise ConnectionRefusedError
            if len(self.active_associations) >= CONNECTIONS:
                log("refused", reason="too many connections")
                raise ConnectionRefusedError
            if self.ssl_context:
                connection.settimeout(REQUEST_SECONDS)  # others wait while hands are shaken
                connection = self.ssl_context.wrap_socket(connection, server_side=True)
            connection.settimeout(None)
        except OSError:
            connection.close()
            raise
        return connection, address


def _tls(own: Listen) -> ssl.SSLContext | None:
    if own.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(own.certificate, own.key)
        if own.authority:
            context.load_verify_locations(own.authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise ConfigError("listen: certificate, key or authority cannot be used; expected PEM files") from error
    return context


def _bounded(event: Any) -> None:
    """Cut a connection that announces more than it may send: pynetdicom takes in whatever is announced, 4 GB of it from
    strangers, and of an image as much as comes.
    """
    socket, dimse = event.assoc.dul.socket, event.assoc.dimse
    receive = socket.recv

    def recv(count: int) -> Any:
        message = dimse.message
        there = message.data_set.tell() + message.encoded_command_set.tell() if message else 0
        if count > PDU_BYTES_MAX or there > FILE_BYTES_MAX:
            log("refused", reason="more bytes than an image may have")
            raise OSError(EMSGSIZE, "too long")  # which ends the connection
        return receive(count)

    socket.recv = recv


def _broken(failed: threading.ExceptHookArgs) -> None:
    """A message that pynetdicom stumbles over ends its association, and is told by its kind: its text may quote it."""
    association: Any = getattr(failed.thread, "assoc", failed.thread)
    if (provider := getattr(association, "dul", None)) is None:
        threading.__excepthook__(failed)
        return
    log("refused", reason="a message that cannot be understood", kind=failed.exc_type.__name__)
    if provider.socket is not None:
        provider.socket.close()  # at which both of its threads end


def _closed(event: Any) -> None:
    """Let go at once of who has hung up: pynetdicom would wait for what was to come, and hold his place."""
    event.assoc.dul.to_user_queue.put(None)


def _requested(event: Any, config: Config) -> None:
    """Turn away who is not known: a permanent rejection, "calling AE title not recognized"; and who is one too many,
    for now.
    """
    requestor = event.assoc.requestor
    try:
        known = config.knows(str(requestor.primitive.calling_ae_title), str(requestor.address))
    except ValueError:  # pynetdicom would take an exception for consent
        known = False
    if not known:
        event.assoc.acse.send_reject(0x01, 0x01, 0x03)
        event.assoc.kill()
        log("refused", reason="unknown sender")
        return
    others = [each for each in event.assoc.ae.active_associations if each.is_established]
    if len(others) >= config.listen.associations:
        event.assoc.acse.send_reject(0x02, 0x03, 0x02)
        event.assoc.kill()
        log("refused", reason="too many associations")


def _store(event: Any, take: Take) -> int:
    try:
        with guarded("image", "cannot be understood"):
            dataset = event.dataset
            names = text(dataset, "StudyInstanceUID"), text(dataset, "SOPInstanceUID")
            whole = event.encoded_dataset()
            size = event.request.DataSet.getbuffer().nbytes
            image = Image(*names, memoryview(whole)[len(whole) - size :], whole)
        if not all(names):
            log("refused", reason="names no study or no instance")
            return NOT_UNDERSTOOD
        answer = take(image)
    except (HeclstmError, OSError) as error:
        log("not taken", kind=type(error).__name__)
        return NOT_UNDERSTOOD if type(error).__name__ == "FileFormatError" else NO_RESOURCES
    if answer is Answer.FULL:
        log("not taken", kind="disk is nearly full")
    return STATUS[answer]


def _reported(event: Any, committed: Committed) -> tuple[int, None]:
    """N-EVENT-REPORT: what the PACS kept of what it was asked to, and what not."""
    try:
        with guarded("commitment", "cannot be understood"):
            told = event.event_information
            kept, failed = _named(told, "ReferencedSOPSequence"), _named(told, "FailedSOPSequence")
            transaction = text(told, "TransactionUID")
        if not committed(transaction, kept, failed):
            log("refused", reason="a commitment that nobody asked for")
    except (HeclstmError, OSError) as error:
        log("commitment not taken", kind=type(error).__name__)
        return FAILED, None
    return SUCCESS, None


def _named(told: Any, keyword: str) -> set[str]:
    return {text(item, "ReferencedSOPInstanceUID") for item in items(told, keyword)}
