"""heclstm share"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import SITE, AsJson, SiteFolder
from heclstm.cli.terminal import emit, facts, out
from heclstm.cli.verb import verb


@verb(after="workstation")
def share(
    diagnosis: Annotated[Path, typer.Argument(metavar="DIAGNOSIS.JSON", help="Of `heclstm diagnose -o` or `decrypt`.")],
    site: SiteFolder = SITE,
    step: Annotated[
        float | None,
        typer.Option("--step", help="To which multiple the score is rounded; 0.1, or more for larger scores."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hospital: say what of a diagnosis may leave the hospital: decision and rounded score, without a name.

    Exact scores carry the noise of the encryption, and enough of them give away the secret key. Releases are counted,
    and refused when there were too many for one key.

    Example:

        heclstm share diagnoses/case-7.json --site site --json
    """
    from heclstm.network.site import Site
    from heclstm.report.findings import Findings
    from heclstm.usecases import share as usecase

    shared = usecase.share(Site.load(site), Findings.load(diagnosis), step)
    if as_json:
        emit(shared.to_json())
        return
    rows = {"decision": shared.decision}
    if shared.score is not None:
        rows["score"] = f"{shared.score:+g}, in steps of {shared.step:g}"
    if shared.remark:
        rows["remark"] = shared.remark
    rows["releases"] = f"{shared.released} of {shared.allowed} with these keys"
    out().print(facts(rows))
