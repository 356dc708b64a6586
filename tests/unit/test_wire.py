"""The container of all messages: what it refuses to overwrite, and what ties a result to its query."""

import os

import pytest

from heclstm.deploy.wire import Header, Kind, new_file, read_header, require_query, write_file
from heclstm.errors import DigestError, OutputError


def header(kind, query=""):
    return Header(kind, "program", "key", (("blob", 3),), query)


def test_a_secret_key_is_never_replaced(tmp_path):
    path = tmp_path / "secret.key"
    write_file(path, header(Kind.SECRET_KEY), [b"abc"], mode=0o600)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="holds a secret key, which is not replaced"):
        write_file(path, header(Kind.QUERY), [b"def"])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["secret.key"]


def test_folders_devices_and_impossible_places_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    for path, match in (
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is no regular file"),
        (tmp_path / "file" / "below", "cannot be written"),
    ):
        with pytest.raises(OutputError, match=match), new_file(path):
            pass
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_a_failing_write_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), new_file(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_result_names_the_query_it_answers(tmp_path):
    write_file(tmp_path / "query", header(Kind.QUERY, "a" * 32), [b"abc"])
    write_file(tmp_path / "result", header(Kind.RESULT, "b" * 32), [b"abc"])
    query, result = read_header(tmp_path / "query", Kind.QUERY), read_header(tmp_path / "result", Kind.RESULT)
    with pytest.raises(DigestError, match="answers query bbbbbbbbbbbb, expected aaaaaaaaaaaa"):
        require_query(result, query, "result")
    require_query(header(Kind.RESULT, "a" * 32), query, "result")
