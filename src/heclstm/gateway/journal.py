"""What came, and how far it is: one SQLite file, written through to the disk before anybody is answered.

    collecting → diagnosing → storing → committing → done
                     ├→ ignored       no series of it is meant
                     └→ aside         with a reason, until somebody looks or an image comes
    any of them ──→ collecting        when an image comes that was not known

A study is known by a keyed hash of its UID, and called by a random label, in logs and in names of folders.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from heclstm.errors import OutputError
from heclstm.gateway.schema import SCHEMA

State = Literal["collecting", "diagnosing", "storing", "committing", "done", "ignored", "aside"]
UNDER_WAY = ("collecting", "diagnosing", "storing", "committing")
STATES: tuple[State, ...] = ("collecting", "diagnosing", "storing", "committing", "done", "ignored", "aside")
REASON_MAX = 2000
DISPUTED = (
    "two different images came under one UID, and nobody knows which of them is meant; erase it and send it again"
)


@dataclass(frozen=True)
class Study:
    """arrivals: how many images have come. taken: how many of them this round is about; later ones wait for the next.
    print: of the images that its last diagnosis is of.
    """

    id: int
    label: str
    state: State
    changed: float
    arrivals: int
    taken: int
    attempts: int
    reason: str
    print: str


@dataclass(frozen=True, repr=False)
class Kept:
    """An image. digest: empty where two came under one UID. present: whether its file still lies here."""

    digest: str
    file: str
    present: bool


@dataclass(frozen=True, repr=False)
class Report:
    uid: str
    sop_class: str
    file: str
    stored: bool
    asked: str
    committed: bool


class Journal:
    """Threads share one. What a method wrote is on the disk when it returns."""

    def __init__(self, folder: Path) -> None:
        """Raises OutputError."""
        self._lock = threading.RLock()
        path = folder / "journal.db"
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._base.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
            self._base.executescript(SCHEMA)
            path.chmod(0o600)
            with self._writing():
                found = self._base.execute("SELECT value FROM secret").fetchone()
                if found is None:
                    found = (secrets.token_bytes(32),)
                    self._base.execute("INSERT INTO secret VALUES (?)", found)
        except sqlite3.Error as error:
            raise OutputError(f"{path}: cannot be used as a journal ({error})") from error
        self._secret: bytes = found[0]
        self._lead = time.time() - time.monotonic()  # of the clock that may be set

    def close(self) -> None:
        with self._lock:
            self._base.close()

    # images

    def key(self, *uids: str) -> str:
        """What a UID is called here: nobody reads it back."""
        return hmac.new(self._secret, "\0".join(uids).encode(), sha256).hexdigest()

    def label_of(self, study_uid: str) -> str:
        """Makes it known, if it is not yet."""
        with self._writing():
            self._base.execute(
                "INSERT INTO studies (key, label, state, changed) VALUES (?, ?, 'collecting', ?) "
                "ON CONFLICT DO NOTHING",
                (self.key(study_uid), secrets.token_hex(8), time.time()),
            )
            row = self._base.execute("SELECT label FROM studies WHERE key = ?", (self.key(study_uid),)).fetchone()
            label: str = row[0]
            return label

    def image(self, study_uid: str, uid: str) -> Kept | None:
        with self._lock:
            row = self._base.execute(
                "SELECT digest, file, present FROM images WHERE key = ?", (self.key(study_uid, uid),)
            ).fetchone()
        return None if row is None else Kept(row[0], row[1], bool(row[2]))

    def arrived(self, study_uid: str, uid: str, digest: str, file: str) -> bool:
        """An image whose file lies here. False for another one than came before under the same UID."""
        with self._writing():
            kept, study = self.image(study_uid, uid), self._study("key = ?", self.key(study_uid))
            if kept is not None and kept.digest != digest:
                return False
            self._base.execute(
                "UPDATE studies SET changed = ?, arrivals = arrivals + 1 WHERE id = ?", (time.time(), study.id)
            )
            self._base.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?, 1) "
                "ON CONFLICT (key) DO UPDATE SET present = 1, arrival = excluded.arrival",
                (self.key(study_uid, uid), study.id, digest, file, study.arrivals + 1),
            )
            if study.state in ("collecting", "done", "ignored", "aside"):
                self._move(study, "collecting", "", 0, 0.0)
            return True

    def disputed(self, study_uid: str, uid: str) -> None:
        """Two different images came under this UID: nobody knows which is meant, so the study is put aside for good."""
        with self._writing():
            self._base.execute("UPDATE images SET digest = '' WHERE key = ?", (self.key(study_uid, uid),))
            study = self._study("key = ?", self.key(study_uid))
            if study.state in ("collecting", "done", "ignored", "aside"):
                self._move(study, "aside", DISPUTED, 0, 0.0)

    def is_disputed(self, study: Study) -> bool:
        with self._lock:
            found = self._base.execute("SELECT 1 FROM images WHERE study = ? AND digest = ''", (study.id,)).fetchone()
        return found is not None

    def begin(self, study: Study) -> Study:
        """A round about all images that have come so far."""
        with self._writing():
            self._base.execute("UPDATE studies SET taken = arrivals WHERE id = ?", (study.id,))
            return self._study("id = ?", study.id)

    def images(self, study: Study) -> list[Kept]:
        """Those of its round."""
        with self._lock:
            rows = self._base.execute(
                "SELECT digest, file, present FROM images WHERE study = ? AND arrival <= ? ORDER BY file",
                (study.id, study.taken),
            ).fetchall()
        return [Kept(digest, file, bool(present)) for digest, file, present in rows]

    def is_own(self, uid: str) -> bool:
        """Whether this is a report of ours that came back."""
        with self._lock:
            return self._base.execute("SELECT 1 FROM reports WHERE uid = ?", (uid,)).fetchone() is not None

    # studies

    def study(self, label: str) -> Study | None:
        with self._lock:
            found = self._studies("label = ?", label)
        return found[0] if found else None

    def due(self, quiet_seconds: float) -> list[Study]:
        """Those that something is to be done for now, the longest waiting first."""
        now = time.time()
        lead = now - time.monotonic()
        if self._lead - lead > 1 or self._studies("changed > ?", now + 1):
            # The clock was set back: quiet begins anew, and pauses end, not an hour from now.
            with self._writing():
                self._base.execute("UPDATE studies SET changed = min(changed, ?), next = min(next, ?)", (now, now))
        self._lead = lead
        return self._studies(
            "(state = 'collecting' AND arrivals > 0 AND changed <= ?) OR "
            "(state IN ('diagnosing', 'storing', 'committing') AND next <= ?)",
            now - quiet_seconds,
            now,
        )

    def all(self, state: State) -> list[Study]:
        return self._studies("state = ?", state)

    def counts(self) -> dict[State, int]:
        with self._lock:
            rows = dict(self._base.execute("SELECT state, count(*) FROM studies WHERE arrivals GROUP BY state"))
        return {state: rows.get(state, 0) for state in STATES}

    def oldest(self) -> float | None:
        """Since when the longest waiting one has waited, in seconds since the epoch."""
        with self._lock:
            row = self._base.execute(
                f"SELECT min(changed) FROM studies WHERE arrivals AND state IN {UNDER_WAY}"
            ).fetchone()
        found: float | None = row[0]
        return found

    def move(self, study: Study, state: State, reason: str = "") -> State:
        """To the next state, which is returned: one that got new images meanwhile is collected instead of resting."""
        with self._writing():
            now = self._study("id = ?", study.id)
            if state == "done" and self.is_disputed(study):
                state, reason = "aside", DISPUTED  # it came after the reports had gone
            if state in ("done", "ignored", "aside") and now.arrivals != now.taken:
                state, reason = "collecting", ""
            self._move(study, state, reason[:REASON_MAX], 0, 0.0)
            return state

    def again(self, study: Study, pause_seconds: float, reason: str) -> None:
        """The same step, after a pause."""
        with self._writing():
            self._move(study, study.state, reason[:REASON_MAX], study.attempts + 1, time.time() + pause_seconds)

    def retry(self, label: str) -> bool:
        """Collect a study anew that was put aside. False if there is none of this label."""
        with self._writing():
            changed = self._base.execute(
                "UPDATE studies SET state = 'collecting', reason = '', attempts = 0, next = 0 "
                "WHERE label = ? AND state = 'aside'",
                (label,),
            )
            return changed.rowcount == 1

    def forget_images(self, study: Study) -> list[str]:
        """They stay known. Returns the names of the files that may go; none if others came meanwhile."""
        with self._writing():
            now = self._study("id = ?", study.id)
            if (now.arrivals, now.state) != (study.arrivals, study.state):
                return []
            rows = self._base.execute("SELECT file FROM images WHERE study = ? AND present", (study.id,)).fetchall()
            self._base.execute("UPDATE images SET present = 0 WHERE study = ?", (study.id,))
            return [file for (file,) in rows]

    def troubled(self, attempts: int) -> int:
        """How many studies wait after so many failures or more."""
        with self._lock:
            row = self._base.execute(
                f"SELECT count(*) FROM studies WHERE attempts >= ? AND state IN {UNDER_WAY}", (attempts,)
            ).fetchone()
        found: int = row[0]
        return found

    def files(self, label: str) -> set[str]:
        """Names of the image files that lie here of a study."""
        with self._lock:
            rows = self._base.execute(
                "SELECT file FROM images WHERE present AND study = (SELECT id FROM studies WHERE label = ?)", (label,)
            ).fetchall()
        return {file for (file,) in rows}

    def forget(self, study: Study) -> None:
        """Unless an image came meanwhile."""
        with self._writing():
            self._base.execute(
                "DELETE FROM studies WHERE id = ? AND arrivals = ? AND state = ?",
                (study.id, study.arrivals, study.state),
            )

    # reports

    def add_reports(self, study: Study, reports: list[Report], images: str) -> None:
        """They lie on the disk, and are to be stored. images: the print of those that they are about."""
        with self._writing():
            for report in reports:
                self._base.execute(
                    "INSERT INTO reports (uid, study, class, file) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (report.uid, study.id, report.sop_class, report.file),
                )
            self._move(study, "storing", "", 0, 0.0)
            self._base.execute("UPDATE studies SET print = ? WHERE id = ?", (images, study.id))

    def reports(self, study: Study) -> list[Report]:
        """Those that the PACS has not confirmed."""
        return self._reports("study = ? AND NOT committed", study.id)

    def forget_reports(self, study: Study) -> None:
        """Those that were never stored, as their files go: the same images would be diagnosed again."""
        with self._writing():
            if self._base.execute("DELETE FROM reports WHERE study = ? AND NOT stored", (study.id,)).rowcount:
                self._base.execute("UPDATE studies SET print = '' WHERE id = ?", (study.id,))

    def stored(self, uids: list[str], *, committed: bool) -> None:
        """The PACS has taken them. committed: and that is all that is asked for."""
        with self._writing():
            self._base.executemany(
                "UPDATE reports SET stored = 1, committed = ? WHERE uid = ?", [(committed, uid) for uid in uids]
            )

    def asked(self, uids: list[str], transaction: str) -> None:
        """Before the PACS is asked to commit to them, in this transaction."""
        with self._writing():
            self._base.executemany("UPDATE reports SET asked = ? WHERE uid = ?", [(transaction, uid) for uid in uids])

    def answered(self, transaction: str, kept: set[str], failed: set[str]) -> Study | None:
        """What the PACS has said. Returns the study that this moves on; None for a transaction that nobody asked."""
        with self._writing():
            known = {report.uid for report in self._reports("asked = ?", transaction)} if transaction else set()
            if not known:
                return None
            study = self._study("id = (SELECT study FROM reports WHERE uid = ?)", min(known))
            rows = [(uid,) for uid in known & kept - failed]
            self._base.executemany("UPDATE reports SET committed = 1 WHERE uid = ?", rows)
            again = [(uid,) for uid in known & failed]
            self._base.executemany("UPDATE reports SET stored = 0, asked = '' WHERE uid = ?", again)
            if study.state == "committing":
                self._base.execute("UPDATE studies SET next = 0 WHERE id = ?", (study.id,))
            return study

    # how far others' lists were read

    def mark(self, name: str) -> int | None:
        with self._lock:
            row = self._base.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def set_mark(self, name: str, value: int) -> None:
        with self._writing():
            self._base.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))

    def owe(self, resource: str) -> None:
        """A study that another one has still to send."""
        with self._writing():
            self._base.execute("INSERT OR IGNORE INTO owed VALUES (?)", (resource,))

    def owed(self) -> list[str]:
        with self._lock:
            return [row[0] for row in self._base.execute("SELECT resource FROM owed ORDER BY rowid").fetchall()]

    def paid(self, resource: str) -> None:
        with self._writing():
            self._base.execute("DELETE FROM owed WHERE resource = ?", (resource,))

    # within

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction. Raises OutputError."""
        with self._lock:
            if self._base.in_transaction:
                yield
                return
            try:
                self._base.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    self._base.execute("ROLLBACK")
                    raise
                self._base.execute("COMMIT")
            except sqlite3.Error as error:
                raise OutputError(f"journal: cannot be written ({error})") from error

    def _move(self, study: Study, state: State, reason: str, attempts: int, following: float) -> None:
        """A study that comes to rest is kept from now on, however long it was under way."""
        changed = time.time() if state in ("done", "ignored", "aside") else self._study("id = ?", study.id).changed
        self._base.execute(
            "UPDATE studies SET state = ?, reason = ?, attempts = ?, next = ?, changed = ? WHERE id = ?",
            (state, reason, attempts, following, changed, study.id),
        )

    def _studies(self, where: str, *values: object) -> list[Study]:
        query = (
            f"SELECT id, label, state, changed, arrivals, taken, attempts, reason, print FROM studies WHERE {where} "
            "ORDER BY changed"
        )
        with self._lock:
            return [Study(*row) for row in self._base.execute(query, values).fetchall()]

    def _study(self, where: str, *values: object) -> Study:
        return self._studies(where, *values)[0]

    def _reports(self, where: str, *values: object) -> list[Report]:
        query = f"SELECT uid, class, file, stored, asked, committed FROM reports WHERE {where} ORDER BY file"
        with self._lock:
            rows = self._base.execute(query, values).fetchall()
        return [
            Report(uid, kind, file, bool(stored), asked, bool(done)) for uid, kind, file, stored, asked, done in rows
        ]
