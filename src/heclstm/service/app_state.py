"""All parts of one running service, for the routes."""

from __future__ import annotations

from dataclasses import dataclass

from heclstm.service.audit import Audit
from heclstm.service.blobs import Blobs
from heclstm.service.config import Config
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import Jobs
from heclstm.service.database.key_sets import KeySets
from heclstm.service.database.queue import Queue
from heclstm.service.dispatcher import Dispatcher
from heclstm.service.hub import Hub
from heclstm.service.identity import Identities
from heclstm.service.limits import Rates
from heclstm.service.metrics import Metrics
from heclstm.service.programs import Programs
from heclstm.service.queries import Receiver
from heclstm.service.uploads import Uploads


@dataclass(eq=False)
class App:
    config: Config
    database: Database
    programs: Programs
    key_sets: KeySets
    jobs: Jobs
    queue: Queue
    blobs: Blobs
    uploads: Uploads
    queries: Receiver
    dispatcher: Dispatcher
    identities: Identities
    rates: Rates
    hub: Hub
    audit: Audit
    metrics: Metrics
    draining: bool = False
