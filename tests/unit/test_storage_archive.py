"""Zip archives: a list of files that is too long is refused before it is read, a long file in it is not."""

import io
import zipfile

import pytest

from heclstm.errors import FileFormatError
from heclstm.storage import archive as module
from heclstm.storage.archive import opened_archive


def packed(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream


def directory_bytes(stream):
    """Of its list of files, as the end of the archive tells."""
    return int.from_bytes(stream.getvalue()[-22:][12:16], "little")


def test_what_is_packed_is_read(monkeypatch):
    stream = packed({"a": b"1" * 1000, "b": b"2"})
    monkeypatch.setattr(module, "DIRECTORY_BYTES_MAX", directory_bytes(stream))
    with opened_archive(stream, "a.zip") as archive:
        assert archive.namelist() == ["a", "b"]
        assert archive.read("a") == b"1" * 1000  # longer than the list may be
    assert not stream.closed


def test_a_list_of_files_that_is_too_long_is_not_read(monkeypatch):
    stream = packed({str(number): b"" for number in range(100)})
    size = directory_bytes(stream)
    monkeypatch.setattr(module, "DIRECTORY_BYTES_MAX", size - 1)
    message = f"a.zip: its list of files has {size} bytes, expected at most {size - 1}"
    with pytest.raises(FileFormatError, match=message), opened_archive(stream, "a.zip"):
        pass


def test_so_long_a_list_and_no_longer():
    """Whoever moves it means it: what is read today must be read tomorrow."""
    assert module.DIRECTORY_BYTES_MAX == 8 << 20


def test_what_is_no_archive_is_zipfiles_to_refuse():
    with pytest.raises(zipfile.BadZipFile), opened_archive(io.BytesIO(b"no archive"), "a.zip"):
        pass
