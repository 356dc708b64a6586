"""A TOML file becomes settings, or all that is wrong with it is told at once."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from heclstm.errors import ConfigError, FileFormatError
from heclstm.storage.settings import read_toml, settings_of


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    word: str


class Settings(msgspec.Struct):
    name: str
    count: Annotated[int, Meta(ge=1, le=5)]
    words: list[str] = []
    inner: Inner | None = None


def test_a_file_is_read_up_to_a_mebibyte(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('name = "ä"\n[inner]\nword = "b"')
    assert read_toml(path) == {"name": "ä", "inner": {"word": "b"}}
    path.write_text("a = 1\n" + "#" * ((1 << 20) - 6))
    assert read_toml(path) == {"a": 1}
    path.write_text("a = 1\n" + "#" * ((1 << 20) - 5))
    with pytest.raises(FileFormatError, match="larger than 1048576 bytes"):
        read_toml(path)


@pytest.mark.parametrize("content", [b"a = ", b"\xff"])
def test_what_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.toml: is no TOML \("):
        read_toml(tmp_path / "a.toml")


def test_variables_are_filled_in_wherever_texts_stand(monkeypatch):
    monkeypatch.setenv("SECRET", "s3")
    data = {
        "name": "${SECRET}!",
        "count": 5,
        "words": ["a", "${SECRET}${SECRET}"],
        "inner": {"word": "$SECRET ${SECRET}"},
    }
    found = settings_of(data, Settings, "a.toml")
    assert found == Settings("s3!", 5, ["a", "s3s3"], Inner("$SECRET s3"))


def test_all_mistakes_are_told_at_once(monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    data = {"colour": 1, "count": 6, "words": ["${NOWHERE}"], "inner": {"other": 1}}
    with pytest.raises(ConfigError) as error:
        settings_of(data, Settings, "a.toml", also=lambda _: pytest.fail("asked about settings that are wrong"))
    said = str(error.value).removeprefix("a.toml: ").split("; ")
    assert said[:2] == ["colour: is not known", "known are name, count, words, inner"]
    assert said[2].startswith("count: Expected `int` <= 5")
    assert said[3] == "words: the environment has no variable NOWHERE"
    assert said[4].startswith("inner: ")
    assert said[5:] == ["name: is missing"]


def test_mistakes_of_several_fields_together_are_told():
    def also(settings):
        return [f"{settings.name} is taken"] if settings.count > 1 else []

    assert settings_of({"name": "a", "count": 1}, Settings, "x", also) == Settings("a", 1)
    with pytest.raises(ConfigError, match="^x: a is taken$"):
        settings_of({"name": "a", "count": 2}, Settings, "x", also)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = " + "[" * 100_000, "brackets stand too deep"),
        ("a=" + "{a=" * 5000, "brackets stand too deep"),
        (".".join(["a"] * 50_000) + " = 1", "lines with too many dots"),
        ("\n".join(f"k{number}" + ".a" * 1000 + " = 1" for number in range(5)), "lines with too many dots"),
        (".".join(["a"] * 1500) + " = 1", "tables stand more than 32 deep"),
        ("x = " + "9" * 5000, "is no TOML"),
    ],
)
def test_what_would_take_all_memory_or_all_frames_is_refused(tmp_path, content, message):
    """The third took 9.6 GB and a minute and a half; the others raised RecursionError."""
    (tmp_path / "a.toml").write_text(content)
    for wrong in (ConfigError, FileFormatError):
        with pytest.raises(wrong, match=message):
            read_toml(tmp_path / "a.toml", wrong)


def test_so_many_dots_and_no_more(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(f'x = "{"." * 2000}"')
    assert read_toml(path) == {"x": "." * 2000}
    path.write_text(f'x = "{"." * 2000}"\ny = 1.5')
    with pytest.raises(ConfigError, match="lines with too many dots, together more than one of 2000"):
        read_toml(path)
