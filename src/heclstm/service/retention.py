"""What has expired is erased, and what nothing refers to any more: left by a crash between a file and its row."""

from __future__ import annotations

import asyncio
from functools import partial

from heclstm.service import clock
from heclstm.service.app_state import App
from heclstm.service.audit import tell_of_job, tell_of_keys
from heclstm.service.database.connection import Unavailable
from heclstm.service.database.jobs import blobs_of
from heclstm.service.http.keys import erase_keys
from heclstm.service.logs import log

ORPHAN_SECONDS = 3600.0  # a file may be this old before its row is written; another server's are not known here
RETENTION = "retention"  # who did it, in the audit
_LOG = log("retention")


async def keep_sweeping(app: App) -> None:
    """Until it is cancelled."""
    while True:
        try:
            await sweep(app)
        except (OSError, *Unavailable) as error:
            _LOG.warning("sweeping failed; it is tried again", error=type(error).__name__)
        except Exception:
            _LOG.exception("a mistake of ours; sweeping goes on")
        await asyncio.sleep(app.config.retention.sweep_seconds)


async def sweep(app: App, orphan_seconds: float = ORPHAN_SECONDS) -> dict[str, int]:
    """Erase what is due; returns how many of each kind."""
    now = clock.now()
    try:
        found = await _erase_expired(app, now)
    except (OSError, *Unavailable):  # a full disk, perhaps: what needs no line of the audit makes room for those lines
        await _erase_untold(app, now, orphan_seconds)
        raise
    found |= await _erase_untold(app, now, orphan_seconds)
    if any(found.values()):
        _LOG.info("erased what was due", **found)
    return found


async def _erase_expired(app: App, now: float) -> dict[str, int]:
    """What the audit tells of."""
    keeping = app.config.retention
    jobs = await asyncio.to_thread(app.jobs.expired, now - 86400 * keeping.results_days)
    for tenant, id in jobs:
        row = await asyncio.to_thread(
            app.jobs.remove, tenant, id, partial(tell_of_job, app.audit, "job expired", RETENTION)
        )
        for name in blobs_of(id, row.queries) if row else ():
            await asyncio.to_thread(app.blobs.delete, name)
    keys = await asyncio.to_thread(
        app.key_sets.expired, now - 86400 * keeping.keys_days, now - 86400 * keeping.uploads_days
    )
    for key in keys:
        tell = partial(tell_of_keys, app.audit, "keys expired", RETENTION)
        if await asyncio.to_thread(app.key_sets.remove, key.tenant, key.label, upload=key.upload, tell=tell):
            await erase_keys(app, key, RETENTION)
    return {"jobs": len(jobs), "keys": len(keys)}


async def _erase_untold(app: App, now: float, orphan_seconds: float) -> dict[str, int]:
    await asyncio.to_thread(_forget_erased, app)
    orphans = await asyncio.to_thread(_erase_orphans, app, orphan_seconds)
    audits = await asyncio.to_thread(app.audit.erase, clock.day(now - 86400 * app.config.retention.audit_days))
    await asyncio.to_thread(app.jobs.forget_usage, clock.day(now - 7 * 86400))
    return {"orphans": orphans, "audits": audits}


def _forget_erased(app: App) -> None:
    """What another server erased leaves the workers and the cache of this one. Names are listed first, as below."""
    opened = {name for slot in app.dispatcher.slots() for name in list(slot.open)}
    copies, uploads = app.blobs.copies(), app.key_sets.uploads()
    for name in opened - uploads:
        app.dispatcher.close_keys(name)
    for name in copies:
        if name.partition("/")[2] not in uploads:
            app.blobs.forget(name)
    app.blobs.forget_erased()


def _erase_orphans(app: App, orphan_seconds: float) -> int:
    """Names are listed before the rows are read: what is stored meanwhile is not seen at all."""
    names = [name for folder in ("queries", "results", "keys") for name in app.blobs.names(folder, orphan_seconds)]
    jobs, uploads, count = app.jobs.ids(), app.key_sets.uploads(), 0
    for name in names:
        owner = name.partition("/")[2].rpartition("-")[0] or name.partition("/")[2]
        if owner in jobs or owner in uploads or name in app.queries.in_flight:
            continue
        app.blobs.delete(name)
        count += 1
    now = clock.now()
    for path in app.uploads.files():
        if path.name not in uploads and now - path.stat().st_mtime >= orphan_seconds:
            path.unlink(missing_ok=True)
            count += 1
    return count
