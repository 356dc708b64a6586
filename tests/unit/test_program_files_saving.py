"""Programs are written whole or not at all, and nothing else is ever deleted."""

import os

import pytest

from heclstm.card.model_facts import ModelFacts
from heclstm.errors import HeclstmError
from heclstm.program import files
from heclstm.program.files import load_card, load_program, save_program
from heclstm.storage import atomic
from tiny_program import tiny_program


def program(name="example"):
    return tiny_program(model=ModelFacts(name=name))


def fail(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("existing", [False, True])
def test_saving_that_fails_midway_leaves_no_trace(tmp_path, monkeypatch, existing):
    folder = tmp_path / "example"
    before = save_program(program(), folder) if existing else None
    monkeypatch.setattr(files, "write_npz", fail)
    with pytest.raises(OSError, match="No space left"):
        save_program(program("other"), folder)
    assert [path.name for path in tmp_path.iterdir()] == (["example"] if existing else [])
    if existing:
        monkeypatch.undo()
        assert load_card(folder).digest == before
        load_program(folder)


def test_saving_whose_last_step_fails_keeps_the_old_program(tmp_path, monkeypatch):
    folder = tmp_path / "example"
    before = save_program(program(), folder)
    rename = os.replace

    def fail_on_the_new_one(source, target):
        if (source / "program.json").exists() and load_card(source).model.name == "other":
            fail()
        rename(source, target)

    monkeypatch.setattr(atomic.os, "replace", fail_on_the_new_one)
    with pytest.raises(OSError, match="No space left"):
        save_program(program("other"), folder)
    assert load_card(folder).digest == before


def test_saving_replaces_an_older_program(tmp_path):
    folder = tmp_path / "example"
    save_program(program(), folder)
    digest = save_program(program("other"), folder)
    assert load_card(folder).digest == digest
    assert sorted(path.name for path in folder.iterdir()) == ["circuit.json", "circuit.npz", "program.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["example"]


def test_saving_never_deletes_what_is_no_program(tmp_path):
    """A mistyped folder, such as the one with the patients' images, must not vanish."""
    images = tmp_path / "images"
    images.mkdir()
    (images / "patient.png").write_bytes(b"\x89PNG")
    with pytest.raises(HeclstmError, match="images"):
        save_program(program(), images)
    assert [path.name for path in images.iterdir()] == ["patient.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_saving_into_an_empty_folder_works(tmp_path):
    (tmp_path / "empty").mkdir()
    save_program(program(), tmp_path / "empty")
    load_program(tmp_path / "empty")


def test_saving_onto_a_file_is_refused(tmp_path):
    (tmp_path / "example").write_text("mine")
    with pytest.raises(HeclstmError, match="example"):
        save_program(program(), tmp_path / "example")
    assert (tmp_path / "example").read_text() == "mine"
