"""Files and folders are written whole or not at all, and no secret is lost unseen."""

import errno
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from heclstm.errors import OutputError
from heclstm.storage import atomic
from heclstm.storage.atomic import FILES, new_file, new_files, new_folder, save_file, sole_writer

PEM = b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"
LOCKED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
KEY = b"HECLSTM\x00\x01\x00\x01\x00rest"
NEWER_KEY = b"HECLSTM\x00\x09\x00\x01\x00rest"
SEALED = b"HECLSEAL\x01\x00rest"


@pytest.mark.parametrize(
    "secret", [PEM, LOCKED, KEY, NEWER_KEY, SEALED], ids=["pem", "locked", "key", "newer", "sealed"]
)
def test_a_secret_is_never_replaced(tmp_path, secret):
    path = tmp_path / "secret"
    path.write_bytes(secret)
    with pytest.raises(OutputError, match="holds a secret key, which is not replaced"):
        save_file(path, b"other")
    assert path.read_bytes() == secret
    assert os.listdir(tmp_path) == ["secret"]


@pytest.mark.parametrize("other", [b"HECLSTM\x00\x01\x00\x02\x00", b"-----BEGIN PUBLIC KEY-----", b""])
def test_what_is_no_secret_is_replaced(tmp_path, other):
    (tmp_path / "a").write_bytes(other)
    save_file(tmp_path / "a", "ä")
    assert (tmp_path / "a").read_bytes() == "ä".encode()
    with new_file(tmp_path / "a") as stream:
        stream.write(b"once more")
    assert (tmp_path / "a").read_bytes() == b"once more"


def test_folders_devices_and_impossible_places_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    for path, match in (
        (tmp_path, f"^{re.escape(str(tmp_path))}: is a folder"),
        (Path(""), r"^\.: is a folder"),
        (tmp_path / "pipe", "is no regular file"),
        (tmp_path / "file" / "below", "cannot be written"),
    ):
        with pytest.raises(OutputError, match=match), new_file(path):
            pass
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_a_failing_write_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match=r"out: cannot be written \(No space left"), new_file(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "out"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_folders_on_the_way_are_made(tmp_path):
    save_file(tmp_path / "one" / "two" / "a", "")
    with new_files(tmp_path / "three" / "four") as partial:
        (partial / "b").touch()
    with new_folder(tmp_path / "five" / "six" / "seven", "model", ["c"]) as partial:
        assert partial.is_dir()
    for path in ("one/two/a", "three/four/b", "five/six/seven"):
        assert (tmp_path / path).exists()


def test_all_of_a_file_is_on_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    """Else a power cut leaves an empty file under its name."""
    synced = []

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_size, os.listdir(tmp_path) == ["a"]))

    monkeypatch.setattr(os, "fsync", fsync)
    save_file(tmp_path / "a", "content")
    assert synced == [(7, False)]


def test_a_name_that_somebody_guessed_is_not_written_through(tmp_path, monkeypatch):
    """A link in place of the file that is about to be made, in a folder that others may write to."""
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda count: "guessed")
    (tmp_path / "target").write_text("theirs")
    (tmp_path / ".heclstm-guessed").symlink_to(tmp_path / "target")
    with pytest.raises(OutputError, match=r"a: cannot be written \(File exists\)"):
        save_file(tmp_path / "a", "secret", 0o600)
    assert (tmp_path / "target").read_text() == "theirs"


def test_what_went_wrong_is_told_though_nothing_is_left_to_remove(tmp_path):
    def stop():
        shutil.rmtree(next(tmp_path.iterdir()))
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_both(tmp_path, stop)


@pytest.mark.parametrize(("umask", "public"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_the_umask_applies_and_private_files_are_private(tmp_path, umask, public):
    before = os.umask(umask)
    try:
        save_file(tmp_path / "public", "")
        save_file(tmp_path / "private", "", 0o600)
        with new_file(tmp_path / "streamed"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "public").stat().st_mode & 0o777 == public
    assert (tmp_path / "streamed").stat().st_mode & 0o777 == public
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_file_systems_without_chmod_are_written_to(tmp_path, monkeypatch):
    """USB sticks and shares refuse it."""

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(os, "fchmod", refuse)
    save_file(tmp_path / "a", "")
    with new_files(tmp_path / "folder") as partial:
        save_file(partial / "b", "")
    assert (tmp_path / "folder" / "b").exists()


def test_names_as_long_as_the_file_system_takes(tmp_path):
    save_file(tmp_path / ("x" * 255), "content")
    assert (tmp_path / ("x" * 255)).read_text() == "content"


def write_both(folder, then, **options):
    """Two new files, and `then` before they appear."""
    with new_files(folder, **options) as partial:
        save_file(partial / "a", "new")
        save_file(partial / "b", "new")
        then()


def test_what_is_not_whole_yet_is_private(tmp_path):
    """Key files wait there for each other."""
    with new_files(tmp_path) as partial:
        assert partial.stat().st_mode & 0o777 == 0o700


def test_files_appear_together_or_not_at_all(tmp_path):
    (tmp_path / "other").write_text("stays")

    def stop():
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_both(tmp_path, stop)
    assert os.listdir(tmp_path) == ["other"]
    with pytest.raises(ValueError, match="stop"):
        write_both(tmp_path / "new", stop)
    assert os.listdir(tmp_path) == ["other"]
    write_both(tmp_path, lambda: None)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "other"]


def test_a_second_ctrl_c_does_not_stop_the_cleaning(tmp_path, monkeypatch):
    remove, calls = shutil.rmtree, []

    def interrupted(path, **options):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_both(tmp_path, lambda: None)
    assert not list(tmp_path.glob(".*"))


def test_files_that_came_meanwhile_are_kept(tmp_path):
    """Two keygens at once into one folder: the second may not replace what the first has made."""
    with pytest.raises(OutputError, match="b: exists, and is not replaced"):
        write_both(tmp_path, lambda: (tmp_path / "b").write_text("old"), replace=False)
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_text() == "old"
    write_both(tmp_path, lambda: None)
    assert (tmp_path / "b").read_text() == "new"


@pytest.mark.parametrize("links", [True, False])
def test_all_new_files_or_none_where_one_came_meanwhile(tmp_path, monkeypatch, links):
    """Somebody else made b between the look and the move: a, which moved already, goes away again."""

    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)

    def write():
        with new_files(tmp_path, replace=False) as partial:
            (partial / "a").write_text("new")
            (partial / "b").write_text("new")
            (tmp_path / "b").write_text("of somebody else")

    with pytest.raises(OutputError, match="b: exists, and is not replaced"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "of somebody else"


def test_one_writer_at_a_time_cleans_up_after_killed_ones(tmp_path):
    left = tmp_path / f"{FILES}0123"
    left.mkdir()
    (left / "secret.key").write_text("half")
    (tmp_path / ".heclstm-abc").mkdir()  # of another kind of writer
    with sole_writer(tmp_path):
        assert not left.exists()
        with pytest.raises(OutputError, match="another process is writing into it"), sole_writer(tmp_path):
            pass
    assert (tmp_path / ".heclstm-abc").exists()


def test_somebody_faster_is_not_replaced(tmp_path, monkeypatch):
    """Between looking whether a file is there and making it: what was made before goes again."""
    link = os.link

    def faster(source, target):
        if target.name == "b":
            target.write_text("theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", faster)
    with pytest.raises(OutputError, match="b: exists, and is not replaced"):
        write_both(tmp_path, lambda: None, replace=False)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b": "theirs"}


def test_a_disk_that_fails_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    """On a file system without links, too."""
    replace = os.replace

    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    def failing(source, target):
        if target.name == "b":
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "replace", failing)
    folder = tmp_path / "folder"
    with new_files(tmp_path / "whole", replace=False) as partial:
        (partial / "a").write_text("new")
    assert (tmp_path / "whole" / "a").read_text() == "new"

    def make():
        with new_files(folder, replace=False) as partial:
            (partial / "a").write_text("new")
            (partial / "b").write_text("new")

    with pytest.raises(OSError, match="Input/output error"):
        make()
    assert not folder.exists()


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    folder, replace = tmp_path / "model", os.replace
    save_file(folder / "a", "old")

    def failing(source, target):
        if target == folder and (source / "a").read_text() == "new":
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)

    def make():
        with new_folder(folder, "model", ["a"]) as partial:
            (partial / "a").write_text("new")

    with pytest.raises(OSError, match="Input/output error"):
        make()
    assert (os.listdir(tmp_path), (folder / "a").read_text()) == (["model"], "old")


def test_a_folder_is_made_and_held_though_something_odd_lies_in_it(tmp_path):
    folder = tmp_path / "one" / "two"
    with sole_writer(folder):
        (folder / f"{FILES}0123").touch()  # a file, which is no folder of ours
    with sole_writer(folder), pytest.raises(OutputError, match="another process"), sole_writer(folder):
        pass


def test_a_system_without_locks_holds_nobody_off(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with sole_writer(tmp_path / "a"), sole_writer(tmp_path / "a"):
        assert (tmp_path / "a").is_dir()


def test_a_file_system_without_locks_holds_nobody_off(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    left = tmp_path / f"{FILES}0123"
    left.mkdir()
    with sole_writer(tmp_path), sole_writer(tmp_path):
        assert left.exists()  # who knows whose it is


def test_a_file_that_is_not_to_be_replaced_stays(tmp_path):
    """Also one that came while ours was written."""
    path = tmp_path / "file"

    def late():
        with new_file(path, replace=False) as stream:
            stream.write(b"late")
            path.write_bytes(b"first")

    with pytest.raises(OutputError, match="cannot be written"):
        late()
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
    save_file(tmp_path / "other", b"new", replace=False)
    assert (tmp_path / "other").read_bytes() == b"new"


@pytest.mark.parametrize("opened", [new_files, lambda folder: new_folder(folder, "kind", ["a"])])
def test_what_cannot_be_written_is_told_by_the_name_that_it_would_get(tmp_path, opened):
    """Not by that of a folder that nobody has seen, and that is gone."""

    def write():
        with opened(tmp_path / "out") as partial:
            (partial / "a").mkdir()
            save_file(partial / "a", b"")

    with pytest.raises(OutputError, match=f"^{re.escape(str(tmp_path / 'out' / 'a'))}: is a folder, expected"):
        write()


@pytest.mark.parametrize("held", [new_files, sole_writer])
def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path, held):
    """And one that was there stays, empty or not."""
    there, new = tmp_path / "there", tmp_path / "new"
    there.mkdir()
    for folder in (there, new):
        with pytest.raises(RuntimeError), held(folder):
            raise RuntimeError
    assert (there.exists(), new.exists()) == (True, False)
    with held(new) as place:
        ((place or new) / "file").write_text("something")
    assert [path.name for path in new.iterdir()] == ["file"]


def test_a_folder_for_files_that_cannot_be_made_is_told_as_it_is(tmp_path, monkeypatch):
    """Not as one that cannot be erased."""
    made = Path.mkdir

    def mkdir(path, *arguments, **options):
        if path.name.startswith("."):
            raise OSError(errno.ENOSPC, "full")
        made(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OSError, match="full") as found, new_files(tmp_path / "folder"):
        pass
    assert found.value.errno == errno.ENOSPC
