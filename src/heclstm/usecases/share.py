"""A diagnosis → what may leave the hospital: rounded far above the noise, without a name, and counted.

Who sees the exact decrypted values of CKKS sees its noise, and enough of that gives away the secret key (IND-CPA-D, Li
and Micciancio, ia.cr/2020/1533). A rounded value tells something about the noise only if the score lies so near to a
border between two steps that the noise decides; of scores anywhere, a share of 2 · noise / step does, and the decision
has a border of its own. So releases are counted for the keys that they were made with, and end when about BUDGET of
them lay at a border. Each of those tells one rough number about the noise; an attack needs as many as the ring has
coefficients, tens of thousands.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from heclstm.errors import InputError
from heclstm.network.site import RELEASES, Site, now
from heclstm.report.findings import Findings
from heclstm.storage.json import SMALL, parse_object
from heclstm.storage.typed import Digest, Label, Line, Positive, plain, typed

UNUSUAL = "The images are unlike those that the model was trained on, so no figure of the model speaks of this."
# Above the worst error that was seen, 1.2e-3 of 298 encrypted sequences of the shipped program (docs/results.md), whose
# scores are calibrated to LIMIT; of larger scores, noise is larger (`deploy.rounding`).
NOISE, LIMIT = 2.0**-9, 5.6
STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # the first that is coarse enough, unless somebody chooses one
BORDERS = 2  # between steps, and that of the decision
BUDGET = 16.0
STEP_MIN = 32  # times the noise
FORMAT = "heclstm-shared-diagnosis"


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """diagnosis: digest of what was shared of which; the same one again is no new release. key: label of that which its
    query was encrypted under, or of the one in use where nobody knew; None in records of earlier releases."""

    time: Line
    diagnosis: Digest
    step: Positive
    key: Label | None = None


@dataclass(frozen=True)
class Shared:
    """score: None where there is no decision. remark: what the decision must not be read without. released, allowed:
    how many different diagnoses left since the oldest key was made, and how many may."""

    decision: str
    score: float | None
    step: float
    program: str
    released: int
    allowed: int
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """What leaves."""
        values = {"decision": self.decision, "score": self.score, "step": self.step}
        remark = {"remark": self.remark} if self.remark else {}
        return {"format": FORMAT, "version": 1, "program": self.program, **values, **remark}


def share(site: Site, findings: Findings, step: float | None = None) -> Shared:
    """Raises InputError if the step is within the noise, or if too much has left already."""
    noise = NOISE * max(1.0, (findings.purpose.limit("score") or 0.0) / LIMIT)
    finest = STEP_MIN * noise
    diagnosis = findings.diagnosis
    releases = _releases(site)
    query, key = (findings.case.query, findings.case.key) if findings.case else ("", site.state.key)
    digest = hashlib.sha256(json.dumps([findings.program, query, *diagnosis.scores]).encode()).hexdigest()
    before = next((each for each in releases if each.diagnosis == digest), None)
    if step is None:  # the one with which it left already, by whatever release
        step = before.step if before else next((each for each in STEPS if each >= finest), finest)
    if not math.isfinite(step) or (step < finest and before is None):
        raise InputError(f"step: got {step:g}, expected at least {finest:.3g}: a finer score would show the noise")
    since = min((known.made for known in site.state.keys.values()), default="")
    # By key, since a clock may be set back; by time where no key is known.
    mine = {key, *site.state.keys} - {None}
    counted = {each.diagnosis: each for each in releases if each.key in mine or each.time >= since}
    if before is not None and before.step != step:
        raise InputError(
            f"share: this diagnosis left rounded to {before.step:g} already; a second step would tell more; use that"
        )
    told = sum(_borders(each.step, noise) for each in counted.values())
    allowed = len(counted) + max(0, int((BUDGET - told) / _borders(step, noise)))
    if before is None:
        if len(counted) >= allowed:
            remedy = "`heclstm rotate-keys` first"
            if key not in site.state.keys:
                remedy = "they are no longer in use, so nothing more of theirs may leave"
            raise InputError(
                f"share: {len(counted)} diagnoses left since these keys were made, and one more could tell something "
                f"about them; {remedy}"
            )
        counted[digest] = Release(now(), digest, step, key)
        _count(site, counted[digest])
    rounded = round(round(diagnosis.scores[0] / step) * step, 6)
    score = rounded if diagnosis.decided else None
    remark = UNUSUAL if findings.case and findings.case.envelope == "outside" else ""  # its reason may name somebody
    return Shared(diagnosis.decision, score, step, findings.program, len(counted), allowed, remark)


def _borders(step: float, noise: float) -> float:
    """How many borders one release lies at, in the mean."""
    return BORDERS * 2 * noise / step


def _releases(site: Site) -> list[Release]:
    path = site.file(RELEASES)
    lines = path.read_bytes().splitlines() if path else []
    return [typed(parse_object(line, str(path), SMALL), Release, str(path)) for line in lines]


def _count(site: Site, release: Release) -> None:
    """Written before anything is shown."""
    path: Path | None = site.file(RELEASES)
    before = path.read_text() if path else ""
    site.keep(RELEASES, before + json.dumps(plain(release)) + "\n")
