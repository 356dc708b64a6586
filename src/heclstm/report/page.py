"""A diagnosis as a page for clinicians, which prints on one sheet; technical figures stand on a page of their own."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.image import imsave

from heclstm.card.purpose import Purpose
from heclstm.errors import InputError
from heclstm.report.findings import Findings
from heclstm.report.montage import PAPER, Picture, montages
from heclstm.report.places import frames_of, line_of
from heclstm.report.rendering import render
from heclstm.report.words import chance, meaning, origin, rates, unusual
from heclstm.templates.language import gettext, said
from heclstm.templates.units import error, percent, seconds, signed, size

if TYPE_CHECKING:
    from heclstm.data.sequence import ImageSequence

SIDES = {True: "raises", False: "lowers", None: "undecided"}  # by what was decided
WIDE = 320  # pixels that a frame has at least, so that browsers do not blur small ones


def page(
    findings: Findings, images: ImageSequence, *, of_data_set: bool = False, prevalence: float | None = None
) -> str:
    """images: those that were encrypted. of_data_set: they are of the model's data set, not a hospital's own.
    prevalence: share of positives among patients like this one, for predictive values; that of validation by default.

    Raises InputError if the diagnosis speaks of another number of frames.
    """
    parts = shown(findings, images, of_data_set=of_data_set, prevalence=prevalence)
    return render("diagnosis.html", title=_title(findings), nonce="", **parts)


def shown(
    findings: Findings, images: ImageSequence, *, of_data_set: bool = False, prevalence: float | None = None
) -> dict[str, Any]:
    """What the template of a diagnosis places, beside its title and `nonce`. As `page`."""
    diagnosis = findings.diagnosis
    tiles = pictures(images, findings.purpose)
    if len(tiles) != len(diagnosis.contributions):
        raise InputError(
            f"images: got {len(tiles)} frames, expected the {len(diagnosis.contributions)} of the diagnosis; "
            "give the images that were encrypted"
        )
    preparation = findings.purpose.preparation
    slices = 1 if preparation is None else preparation.slices_per_frame
    return {
        "program": findings.program[:12],
        "decision": {"text": gettext(diagnosis.decision), "side": SIDES[diagnosis.positive]},
        "frames": frames_of(findings, tiles, slices),
        "line": line_of(findings),
        "rates": "" if unusual(findings) else rates(findings.operating_point),
        "meaning": meaning(findings, prevalence),
        "unusual": unusual(findings),
        "origin": origin(findings),
        "facts": _facts(findings, prevalence),
        "warnings": findings.purpose.warnings,
        "checked": findings.case is not None,
        "credit": findings.credit(of_data_set),
    }


def pictures(images: ImageSequence, purpose: Purpose) -> list[bytes]:
    """A PNG of each frame, as the model sees it."""
    return [_png(tile) for tile in montages(images.frames, purpose.preparation)]


def technical_page(findings: Findings) -> str:
    """Seconds, bytes, layers and errors, as far as they are known; empty if nothing is."""
    if not (findings.stages or findings.margins or findings.clear):
        return ""
    stages = [(stage.name, stage.who, seconds(stage.seconds), size(stage.bytes)) for stage in findings.stages]
    margins = [
        {"name": name, "width": round(min(100.0, 100 * share), 1), "percent": f"{100 * share:.0f} %"}
        for name, share in findings.margins.items()
    ]
    return render(
        "technical.html",
        title=_title(findings),
        program=findings.program[:12],
        stages=stages,
        memory=size(findings.server_memory),
        compared=_compared(findings),
        margins=margins,
    )


def _title(findings: Findings) -> str:
    return findings.diagnosis.name or gettext("Image sequence")


def _facts(findings: Findings, prevalence: float | None) -> list[tuple[str, str]]:
    """What is neither said nor drawn elsewhere on the page."""
    rows, found = [], chance(findings, prevalence)
    if found is not None:
        words = gettext("Calibrated probability of a positive with such a score")
        if prevalence is not None:
            share = percent(prevalence)
            words = said("Calibrated probability of a positive with such a score, where {share} are", share=share)
        rows.append((words, percent(found)))
    if findings.truth is not None:
        word = "positive" if findings.truth else "negative"
        rows.append((gettext("True label"), gettext(word)))
    return rows


def _compared(findings: Findings) -> list[tuple[str, str, str, str]]:
    """Score and contributions beside those of the model in clear."""
    if (clear := findings.clear) is None:
        return []
    found, pairs = findings.diagnosis, [("Score", findings.diagnosis.scores[0], clear.scores[0])]
    both = zip(found.contributions, clear.contributions, strict=True)
    pairs += [(f"Frame {number}", a[0], b[0]) for number, (a, b) in enumerate(both, start=1)]
    return [(name, signed(a), signed(b), error(a - b)) for name, a, b in pairs]


def _png(tile: Picture) -> bytes:
    """tile: (h, w) grey or (h, w, 3) colour, values in [0, 1]. What is paper lets the page shine through."""
    colours = tile if tile.ndim == 3 else np.stack([tile, tile, tile, tile != PAPER], axis=2)
    grain = max(1, WIDE // tile.shape[1])
    buffer = BytesIO()
    imsave(buffer, np.clip(colours, 0, 1).repeat(grain, 0).repeat(grain, 1), format="png")
    return buffer.getvalue()
