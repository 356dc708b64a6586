"""Training takes as many threads as it has processors, four at most, unless it is told."""

import pytest

pytest.importorskip("torch", reason="training needs the extra heclstm[train]")
from heclstm.model.train import threads


@pytest.fixture
def sixteen(monkeypatch):
    """A machine that would take sixteen; what is set is written down."""
    seen = []
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr(threads.torch, "set_num_threads", seen.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return seen


@pytest.mark.parametrize(("processors", "taken"), [(1, 1), (2, 2), (64, 4)])
def test_no_more_than_processors_and_four(monkeypatch, sixteen, processors, taken):
    monkeypatch.setattr(threads, "processors", lambda: processors)
    threads.use_sensible_threads()
    assert sixteen == [taken]


def test_what_is_said_stays(monkeypatch, sixteen):
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    threads.use_sensible_threads()
    assert sixteen == []


@pytest.mark.parametrize(("text", "expected"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8)])
def test_a_container_has_its_share(monkeypatch, tmp_path, text, expected):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(text)
    assert threads.processors(tmp_path / "cpu.max") == expected
    assert threads.processors(tmp_path / "absent") == 8
