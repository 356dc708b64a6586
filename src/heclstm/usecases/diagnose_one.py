"""One patient's images, which somebody has looked at → a diagnosis, with every step told while it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from heclstm.data.handed_in import HandedIn
from heclstm.deploy.case import Case
from heclstm.deploy.client import Client
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.deploy.wire import Message
from heclstm.network.answers import JobStatus
from heclstm.network.pending import Pending
from heclstm.network.remote import Remote
from heclstm.report.findings import Findings
from heclstm.usecases.encrypt import encrypt
from heclstm.usecases.events import SILENT, Events

Name = Literal["encrypt", "send", "wait", "evaluate", "read"]
STEPS: tuple[Name, ...] = ("encrypt", "send", "wait", "evaluate", "read")


@dataclass(frozen=True)
class Step:
    """Where a diagnosis is. share: of this step, 0 to 1. position: queries before this one. seconds_left: as the server
    estimates it, None while it does not know.
    """

    name: Name
    share: float = 0.0
    position: int | None = None
    seconds_left: float | None = None


OnStep = Callable[[Step], None]
Save = Callable[[Findings], None]


def diagnose_one(
    remote: Remote,
    images: HandedIn,
    save: Save,
    *,
    name: str = "",
    study: str = "",
    override_envelope: str = "",
    begun: Callable[[Case], None] = lambda case: None,
    on_step: OnStep = lambda step: None,
    events: Events = SILENT,
) -> Findings:
    """Encrypt, send, wait, decrypt. begun: gets the case before the query is sent. save: keeps the findings; before
    that, the encrypted result is not erased here. What `on_step` raises ends it, and leaves the query under way.

    Raises what `encrypt` and `Remote.diagnose` raise.
    """
    hospital = remote.hospital
    card = hospital.site.card()

    def make(client: Client) -> tuple[Message, Case]:
        on_step(Step("encrypt"))
        facts: dict[str, Any] = {"name": name, "study": study, "override_envelope": override_envelope}
        made = encrypt(card, images, client, **facts, events=events)
        begun(made.case)
        on_step(Step("send"))
        return made.query, made.case

    found: list[Findings] = []
    remote.transport.run(hospital.diagnose(make, _told(on_step), _kept(remote, save, on_step, found)))
    return found[0]


def go_on(remote: Remote, pending: Pending, save: Save, *, on_step: OnStep = lambda step: None) -> Findings:
    """As `diagnose_one`, with a query that was sent before, or was about to be."""
    found: list[Findings] = []
    hospital = remote.hospital
    remote.transport.run(hospital.collect(pending, _told(on_step), _kept(remote, save, on_step, found)))
    return found[0]


def _told(on_step: OnStep) -> Callable[[JobStatus], None]:
    def told(status: JobStatus) -> None:
        if status.state == "queued":
            on_step(Step("wait", position=status.position, seconds_left=status.seconds_left))
        elif not status.ended:
            on_step(Step("evaluate", status.progress, seconds_left=status.seconds_left))
        else:
            on_step(Step("read"))

    return told


def _kept(remote: Remote, save: Save, on_step: OnStep, found: list[Findings]) -> Callable[[Diagnosis, Case], None]:
    def keep(diagnosis: Diagnosis, case: Case) -> None:
        on_step(Step("read", 1.0))
        card = remote.hospital.site.card(case.program)
        made = Findings(diagnosis, card.purpose, card.digest, case=case)
        save(made)
        found.append(made)

    return keep
