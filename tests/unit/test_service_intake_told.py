"""What the intake hears of an upload while it arrives."""

import asyncio
from itertools import count
from types import SimpleNamespace

import pytest

from heclstm.service import uploads as module
from heclstm.service.problems import Problem
from heclstm.service.uploads import TOLD_SECONDS, WRITE_BYTES, Upload, Uploads
from heclstm.service.workers.messages import Begin, More


@pytest.mark.parametrize(("arriving", "whole"), [(12, True), (11, False)], ids=["whole", "cut"])
@pytest.mark.parametrize("seconds", [0.01, 0.2, 1.0])
def test_the_intake_hears_of_an_upload_now_and_then_and_at_its_end(tmp_path, monkeypatch, seconds, arriving, whole):
    """It takes a core, which a fast line needs for itself; and none waits for bytes that are there."""
    ticks, told = count(), []
    monkeypatch.setattr(module, "clock", SimpleNamespace(steady=lambda: seconds * next(ticks)))
    programs = SimpleNamespace(all=lambda: {"program": SimpleNamespace(folder="folder")})
    blobs = SimpleNamespace(staging=lambda name: tmp_path / "staging" / name)
    uploads = Uploads(SimpleNamespace(folder=tmp_path), None, blobs, programs, None)
    monkeypatch.setattr(uploads, "_send", told.append)
    row = SimpleNamespace(upload="upload", upload_bytes=12 * WRITE_BYTES, program="program", label="label")
    upload = uploads._uploads["upload"] = Upload(row, tmp_path / "keys")

    async def pieces():
        for sent in range(2, arriving + 1):
            yield bytes(WRITE_BYTES)
            while upload.size < sent * WRITE_BYTES:  # each piece is a write
                await asyncio.sleep(0)

    asyncio.run(uploads._append(upload, bytes(WRITE_BYTES), pieces()))
    begin, first, *rest = told
    assert isinstance(begin, Begin)
    assert first == More("upload", 0, False)
    assert rest[-1] == More("upload", arriving * WRITE_BYTES, whole)
    sizes = [each.size for each in rest]
    assert sizes == sorted(sizes)
    if seconds < TOLD_SECONDS / 20:
        assert len(rest) == 1
    else:  # each look at the clock is a moment later
        assert len(rest) > 1


def test_keys_that_became_ready_while_a_slow_header_came_are_not_begun_anew(tmp_path, monkeypatch):
    """What that sender has may be damaged, and its refusal would take the ready ones away."""
    ready = SimpleNamespace(state="ready", upload="upload", upload_bytes=9)
    key_sets = SimpleNamespace(begin=lambda row, quota: ready)
    config = SimpleNamespace(folder=tmp_path, quotas_of=lambda tenant: SimpleNamespace(key_bytes=100))
    monkeypatch.setattr(module, "read_head", lambda start, kind: (SimpleNamespace(program="program"), 9))
    monkeypatch.setattr(module, "require_keys_of", lambda *_: SimpleNamespace(stored_key_bytes=9))
    uploads = Uploads(config, key_sets, None, None, None)
    with pytest.raises(Problem, match="another connection"):
        asyncio.run(uploads._begin("tenant", "label", b"head", None, "token"))
