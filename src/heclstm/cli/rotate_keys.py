"""heclstm rotate-keys"""

from __future__ import annotations

from heclstm.cli.connected import opened
from heclstm.cli.options import SITE, AsJson, InsecureTest, SiteFolder, Threads
from heclstm.cli.passphrase import PassphraseFile
from heclstm.cli.terminal import TERMINAL, emit, facts, out
from heclstm.cli.verb import verb


@verb(after="share")
def rotate_keys(
    site: SiteFolder = SITE,
    passphrase_file: PassphraseFile = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: make new keys for new queries, and erase old ones.

    What is under way ends under the keys that it was encrypted with; those are erased, here and at the server, once
    nothing needs them: at this call, or at a later `rotate-keys` or `jobs --collect`. Make a new backup afterwards.

    Example:

        heclstm rotate-keys --site site
    """
    from heclstm.usecases import rotate as usecase

    with opened(site, passphrase_file, threads, insecure_test) as remote:
        made = usecase.rotate_keys(remote, events=TERMINAL)
    if as_json:
        emit(made.to_json())
        return
    rows = {"new key": made.key[:12]}
    if made.erased:
        rows["erased"] = ", ".join(label[:12] for label in made.erased)
    if made.needed:
        rows["still needed"] = ", ".join(label[:12] for label in made.needed) + ": jobs are under way"
    out().print(facts(rows))
