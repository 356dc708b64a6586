"""Reports to the PACS: C-STORE, and the question whether it commits to keep them. By pynetdicom.

A report has one UID and one content, so storing it twice, after a crash, leaves one of it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE, sop_class

from heclstm.data.dicom.library import pydicom
from heclstm.errors import ConfigError, NetworkError
from heclstm.gateway.config import Config, split
from heclstm.gateway.journal import Report

CLASSES: Any = sop_class  # its names are made when it is loaded
SECONDS = 30.0
STORE_COMMITMENT = 1  # action type of PS3.4 J.3.2
WARNINGS = range(0xB000, 0xC000)  # taken, with a remark
THERE_ALREADY = 0x0111  # duplicate SOP instance: a crash came between its storing and our knowing


def store(reports: Sequence[Report], config: Config) -> None:
    """Raises NetworkError unless the PACS has taken all of them."""
    with _associated(config, [report.sop_class for report in reports]) as association:
        for report in reports:
            status = association.send_c_store(report.file).get("Status")
            if status is None or (status not in (0, THERE_ALREADY) and status not in WARNINGS):
                raise NetworkError(f"store: refused a report with status {_shown(status)}; see the log of the PACS")


def ask(reports: Sequence[Report], transaction: str, config: Config) -> None:
    """Ask the PACS to commit to them; its answer comes to the listener. Raises NetworkError if it takes no question."""
    library = pydicom("commitment")
    question = library.Dataset()
    question.TransactionUID, question.ReferencedSOPSequence = transaction, []
    for report in reports:
        item = library.Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = report.sop_class, report.uid
        question.ReferencedSOPSequence.append(item)
    with _associated(config, [CLASSES.StorageCommitmentPushModel]) as association:
        answer, _ = association.send_n_action(
            question, STORE_COMMITMENT, CLASSES.StorageCommitmentPushModel, CLASSES.StorageCommitmentPushModelInstance
        )
    if (status := answer.get("Status")) != 0:
        raise NetworkError(
            f"store: does not take a storage commitment (status {_shown(status)}); set it up there, or say "
            "commitment = false"
        )


def client_tls(config: Config) -> ssl.SSLContext | None:
    """By which the PACS is known, and this gateway to it by the certificate of [listen]; None where no authority is
    named. Raises ConfigError.
    """
    if not config.store.authority:
        return None
    try:
        context = ssl.create_default_context(cafile=config.store.authority)
        if config.listen.certificate:
            context.load_cert_chain(config.listen.certificate, config.listen.key)
    except OSError as error:
        raise ConfigError(
            "store: authority, or the certificate of [listen], cannot be used; expected PEM files"
        ) from error
    return context


@contextmanager
def _associated(config: Config, classes: Sequence[str]) -> Iterator[Any]:
    entity = AE(config.listen.title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = SECONDS
    for each in dict.fromkeys(classes):
        entity.add_requested_context(each)
    host, port = split(config.store.address)
    context = client_tls(config)
    tls = None if context is None else (context, host)
    association = entity.associate(host, port, ae_title=config.store.title, tls_args=tls)
    try:
        if not association.is_established:
            certificates = "; or one does not take the other's certificate" if context else ""
            raise NetworkError(
                "store: the PACS cannot be reached, or does not know this gateway by title and address" + certificates
            )
        if len(association.accepted_contexts) < len(set(classes)):
            raise NetworkError("store: the PACS does not take such objects; allow Comprehensive 3D SR there")
        yield association
    except (RuntimeError, ValueError) as error:  # of pynetdicom: an association that was lost meanwhile, no context
        raise NetworkError(f"store: the PACS broke off ({type(error).__name__})") from None
    finally:
        if association.is_established:
            association.release()


def _shown(status: int | None) -> str:
    return "none" if status is None else f"0x{status:04X}"
